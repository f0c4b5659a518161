// Walks through a random machine of states, written as digits, on which models of sequences can be looked into:
//
// Tamkin, Taufeeque and Goodman, "Codebook Features: Sparse and Discrete Interpretability for Neural Networks", 2023, https://arxiv.org/abs/2310.17230, section on a toy model of a
// finite state machine; the paper of CodebookSequenceModel.cs.
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explain;
using MlNetMlp.Interop;
using MlNetMlp.Options;
using MlNetMlp.Runtime;

namespace Microsoft.ML
{
    /// <summary>Data to try models of sequences on.</summary>
    public static class TokFsmCatalog
    {
        extension(DataOperationsCatalog catalog)
        {
            /// <summary>
            /// Makes walks through a random machine of states, written as digits: <c>mlContext.Data.GenerateTokFsm(new() { States = 30, Edges = 5 })</c>. Columns are those of
            /// <see cref="TokFsmRow"/>: vectors of keys of known size, whose values (<c>MapKeyToValue</c>) are the digits and <c>BOS</c>, and the numbers of the states. The
            /// machine's legal transitions are <see cref="TokFsm.Successors"/>.
            /// </summary>
            public DataGeneration<TokFsm> GenerateTokFsm => machine =>
            {
                machine ??= new();
                var schema = SchemaDefinition.Create(typeof(TokFsmRow));
                Keys(schema[nameof(TokFsmRow.Tokens)], machine.Length, machine.TokenNames);
                Keys(schema[nameof(TokFsmRow.States)], machine.Length, [.. Enumerable.Range(0, machine.States).Select(state => state.ToString(CultureInfo.InvariantCulture))]);
                return catalog.LoadFromEnumerable(machine.MakeRows(), schema);
            };
        }

        private static void Keys(SchemaDefinition.Column column, int size, IReadOnlyList<string> values)
        {
            column.ColumnType = new VectorDataViewType(new KeyDataViewType(typeof(uint), values.Count), size);
            ReadOnlyMemory<char>[] texts = [.. values.Select(value => value.AsMemory())];
            column.AddAnnotation("KeyValues", new VBuffer<ReadOnlyMemory<char>>(texts.Length, texts), new VectorDataViewType(TextDataViewType.Instance, texts.Length));
        }
    }
}

namespace MlNetMlp.Explain
{
    /// <summary>A generated walk.</summary>
    public sealed class TokFsmRow
    {
        /// <summary>The tokens as keys: key 1 is digit 0, key 2 digit 1, and so on; the last key is <c>BOS</c>, which is the first token.</summary>
        public uint[] Tokens { get; set; } = [];

        /// <summary>The state that the tokens up to each position have told, as a key (state 0 is key 1), where its last digit stands; missing, 0, elsewhere.</summary>
        public uint[] States { get; set; } = [];
    }

    /// <summary>
    /// A machine of states, each of which has as many successors, all equally likely, drawn without repetition from all states; and walks through it, whose states are written as numbers
    /// of as many digits.
    /// </summary>
    public sealed record TokFsm : IValidatableObject
    {
        // A number that no row has.
        private const ulong MachineStream = ulong.MaxValue;

        /// <summary>Number of states, in [2, 10,000]; 100 by default.</summary>
        [Range(2, 10_000)]
        public int States { get; init; } = 100;

        /// <summary>Successors of a state, in [1, 10,000] and at most <see cref="States"/>; 10 by default.</summary>
        [Range(1, 10_000)]
        public int Edges { get; init; } = 10;

        /// <summary>Number of different digits, in [2, 10,000]; 10 by default.</summary>
        [Range(2, 10_000)]
        public int Base { get; init; } = 10;

        /// <summary>Tokens of a row, <c>BOS</c> included, in [2, 65536]; 128 by default. The last state may be cut.</summary>
        [Range(2, 1 << 16)]
        public int Length { get; init; } = 128;

        /// <summary>Number of rows, in [1, 10,000,000]; 1,000 by default.</summary>
        [Range(1, 10_000_000)]
        public int Rows { get; init; } = 1000;

        /// <summary>Decides the machine, at least 0; 1 by default.</summary>
        [Range(0, int.MaxValue)]
        public int Seed { get; init; } = 1;

        /// <summary>Index of the first row, in [0, 1,000,000,000]; 0 by default. Rows of other indices are other walks through the same machine, to test on.</summary>
        [Range(0, 1_000_000_000)]
        public int FirstRow { get; init; }

        /// <summary>Tokens of a state.</summary>
        public int Digits
        {
            get
            {
                var digits = 1;
                for (long most = Base; most < States; most *= Base)
                    digits++;
                return digits;
            }
        }

        /// <summary>What the tokens stand for, in the order of their keys: digits, and <c>BOS</c>.</summary>
        public IReadOnlyList<string> TokenNames => [.. Enumerable.Range(0, Base).Select(digit => digit.ToString(CultureInfo.InvariantCulture)), "BOS"];

        /// <summary>The states that may follow a state.</summary>
        /// <param name="state">The state, from 0.</param>
        /// <returns>The states, ascending; as many as <see cref="Edges"/>.</returns>
        /// <exception cref="ArgumentOutOfRangeException">There is no such state, or an option is out of its range.</exception>
        public IReadOnlyList<int> Successors(int state)
        {
            OptionRanges.Check(this, nameof(TokFsm));
            CheckState(state);
            return Draw(state);
        }

        /// <summary>The tokens of a state.</summary>
        /// <param name="state">The state, from 0.</param>
        /// <returns>The keys of its digits, the highest digit first.</returns>
        /// <exception cref="ArgumentOutOfRangeException">There is no such state.</exception>
        public IReadOnlyList<uint> TokensOf(int state)
        {
            CheckState(state);
            var tokens = new uint[Digits];
            for (var i = tokens.Length - 1; i >= 0; i--, state /= Base)
                tokens[i] = (uint)(state % Base) + 1;
            return tokens;
        }

        /// <summary>The state that tokens tell.</summary>
        /// <param name="tokens">As many keys as a state has tokens.</param>
        /// <returns>The state, from 0; null where the tokens are those of none.</returns>
        public int? StateOf(IReadOnlyList<uint> tokens)
        {
            ArgumentNullException.ThrowIfNull(tokens);
            if (tokens.Count != Digits || tokens.Any(token => token < 1 || token > Base))
                return null;
            var state = tokens.Aggregate(0L, (number, token) => (number * Base) + token - 1);
            return state < States ? (int)state : null;
        }

        /// <summary>Makes the rows.</summary>
        /// <returns>The rows, the same for the same options; they are made when they are asked for.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
        public IEnumerable<TokFsmRow> MakeRows()
        {
            OptionRanges.Check(this, nameof(TokFsm));
            int[][] successors = [.. Enumerable.Range(0, States).Select(Draw)];
            return Enumerable.Range(FirstRow, Rows).Select(row => Walk(row, successors));
        }

        /// <inheritdoc/>
        public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
        {
            if (Edges > States)
                yield return new ValidationResult($"option 'Edges' must be at most States, {States}, but was {Edges}");
        }

        private int[] Draw(int state)
        {
            // Each state draws from a stream of its own, so that it is known without those before it.
            var random = new Random((int)(RandomStreams.Hash(RandomStreams.Hash((ulong)Seed, MachineStream), (ulong)state) >> 33));
            int[] all = [.. Enumerable.Range(0, States)];
            for (var i = 0; i < Edges; i++)
            {
                var other = i + random.Next(States - i);
                (all[i], all[other]) = (all[other], all[i]);
            }

            return [.. all.Take(Edges).Order()];
        }

        private TokFsmRow Walk(int row, int[][] successors)
        {
            var random = new Random((int)(RandomStreams.Hash((ulong)Seed, (ulong)row) >> 33));
            var made = new TokFsmRow { Tokens = new uint[Length], States = new uint[Length] };
            made.Tokens[0] = (uint)Base + 1;
            var (place, state) = (1, random.Next(States));
            while (true)
            {
                foreach (var token in TokensOf(state))
                {
                    if (place == Length)
                        return made;
                    made.Tokens[place++] = token;
                    if ((place - 1) % Digits == 0)
                        made.States[place - 1] = (uint)state + 1;
                }

                state = successors[state][random.Next(Edges)];
            }
        }

        private void CheckState(int state)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(state);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(state, States);
        }
    }
}

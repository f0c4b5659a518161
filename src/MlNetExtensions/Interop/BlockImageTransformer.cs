using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Options;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;

[assembly: LoadableClass(typeof(BlockImageTransformer), null, typeof(SignatureLoadModel), "Images composed of blocks", BlockImageTransformer.LoaderSignature)]

namespace MlNetMlp.Interop
{
    /// <summary>
    /// Puts each image above or below a block that tells nothing, for trying explanations on: the half that tells something is known (BlockMNIST of Shah, Jain and Netrapalli, 2021).
    /// </summary>
    public sealed class BlockImageTransformer : ITransformer
    {
        internal const string LoaderSignature = "MlNetMlpBlockImage";
        private const string EntryName = "BlockImage.json";

        private readonly IHost _host;

        internal BlockImageTransformer(IHostEnvironment env, string outputColumnName, string inputColumnName, BlockImageOptions options)
        {
            _host = env.Register("BlockImage");
            (OutputColumnName, InputColumnName, Options) = (outputColumnName, inputColumnName, options);
            OptionRanges.Check(options, "ComposeBlockImage");
        }

        /// <summary>Name of the column of composed images.</summary>
        public string OutputColumnName { get; }

        /// <summary>Name of the column of images.</summary>
        public string InputColumnName { get; }

        /// <summary>How images are composed.</summary>
        public BlockImageOptions Options { get; }

        bool ITransformer.IsRowToRowMapper => true;

        /// <inheritdoc/>
        public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
        {
            ArgumentNullException.ThrowIfNull(inputSchema);
            return RowToRowMapperTransform.GetOutputSchema(inputSchema, new BlockImageMapper(this, inputSchema));
        }

        /// <inheritdoc/>
        public IDataView Transform(IDataView input)
        {
            ArgumentNullException.ThrowIfNull(input);
            return RowWise(input);
        }

        IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => RowWise(new EmptyDataView(_host, inputSchema));

        void ICanSaveModel.Save(ModelSaveContext ctx)
        {
            ctx.CheckAtModel();
            ctx.SetVersionInfo(GetVersionInfo());
            ctx.SaveNonEmptyString(OutputColumnName);
            ctx.SaveNonEmptyString(InputColumnName);
            ctx.SaveBinaryStream(EntryName, writer => writer.Write(JsonSerializer.SerializeToUtf8Bytes(Options, StrictJson.Settings)));
        }

        private static BlockImageTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
        {
            ctx.CheckAtModel(GetVersionInfo());
            var (output, input) = (ctx.LoadNonEmptyString(), ctx.LoadNonEmptyString());
            var json = JsonEntry.Read(ctx, EntryName);
            try
            {
                return new(env, output, input, JsonSerializer.Deserialize<BlockImageOptions>(json, StrictJson.Settings) ?? throw new ModelFormatException($"{EntryName}: it is missing."));
            }
            catch (Exception e) when (e is JsonException or ArgumentException)
            {
                throw new ModelFormatException($"{EntryName}: {e.Message}", e);
            }
        }

        private RowToRowMapperTransform RowWise(IDataView input) =>
            new(_host, input, new BlockImageMapper(this, input.Schema), schema => new BlockImageMapper(this, schema));

        private static VersionInfo GetVersionInfo() => new(
            modelSignature: "MLPBLOCK",
            verWrittenCur: 0x00010001,
            verReadableCur: 0x00010001,
            verWeCanReadBack: 0x00010001,
            loaderSignature: LoaderSignature,
            loaderAssemblyName: typeof(BlockImageTransformer).Assembly.FullName!);
    }

    /// <summary>A <see cref="BlockImageTransformer"/> bound to the columns of some data.</summary>
    internal sealed class BlockImageMapper : IRowMapper
    {
        private readonly BlockImageTransformer _transformer;
        private readonly DataViewSchema.Column _input;
        private readonly int _size;
        private readonly float[] _null;

        public BlockImageMapper(BlockImageTransformer transformer, DataViewSchema schema)
        {
            _transformer = transformer;
            _input = RowReader.Find(schema, "image", transformer.InputColumnName);
            _size = VectorReader.Width(_input);
            _null = transformer.Options.NullPixels(_size);
        }

        public DataViewSchema.DetachedColumn[] GetOutputColumns()
        {
            var type = new VectorDataViewType(NumberDataViewType.Single, 2 * _size);
            return [new(_transformer.OutputColumnName, type), new(_transformer.Options.MaskColumnName, type)];
        }

        public Func<int, bool> GetDependencies(Func<int, bool> activeOutput) => activeOutput(0) ? index => index == _input.Index : _ => false;

        public Delegate?[] CreateGetters(DataViewRow input, Func<int, bool> activeOutput, out Action? disposer)
        {
            disposer = null;
            var id = input.GetIdGetter();
            return [activeOutput(0) ? Image() : null, activeOutput(1) ? Mask() : null];

            ValueGetter<VBuffer<float>> Image()
            {
                var reader = VectorReader.Create(input, input.Schema[_transformer.InputColumnName]);
                return (ref VBuffer<float> value) =>
                {
                    var editor = VBufferEditor.Create(ref value, 2 * _size);
                    var isTop = IsTop(id);
                    reader.Read(editor.Values.Slice(isTop ? 0 : _size, _size));
                    _null.CopyTo(editor.Values[(isTop ? _size : 0)..]);
                    value = editor.Commit();
                };
            }

            ValueGetter<VBuffer<float>> Mask() => (ref VBuffer<float> value) =>
            {
                var editor = VBufferEditor.Create(ref value, 2 * _size);
                var isTop = IsTop(id);
                editor.Values[.._size].Fill(isTop ? 1 : 0);
                editor.Values[_size..].Fill(isTop ? 0 : 1);
                value = editor.Commit();
            };
        }

        public ITransformer GetTransformer() => _transformer;

        void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)_transformer).Save(ctx);

        private bool IsTop(ValueGetter<DataViewRowId> id)
        {
            if (_transformer.Options.Placement != BlockPlacement.Random)
                return _transformer.Options.Placement == BlockPlacement.Top;
            DataViewRowId row = default;
            id(ref row);
            return (RowNoise.Hash(_transformer.Options.Seed, row) & 1) == 0;
        }
    }

    /// <summary>Makes a <see cref="BlockImageTransformer"/>; fitting it learns nothing.</summary>
    public sealed class BlockImageEstimator : IEstimator<BlockImageTransformer>
    {
        private readonly BlockImageTransformer _transformer;

        internal BlockImageEstimator(IHostEnvironment env, string outputColumnName, string inputColumnName, BlockImageOptions options) =>
            _transformer = new(env, outputColumnName, inputColumnName, options);

        /// <inheritdoc/>
        public SchemaShape GetOutputSchema(SchemaShape inputSchema)
        {
            ArgumentNullException.ThrowIfNull(inputSchema);
            if (inputSchema.All(column => column.Name != _transformer.InputColumnName))
                throw DataErrors.MissingColumn("image", _transformer.InputColumnName, inputSchema.Select(column => column.Name));
            return inputSchema.With(
                SchemaShapes.VectorOfSingle(_transformer.OutputColumnName, hasNames: false), SchemaShapes.VectorOfSingle(_transformer.Options.MaskColumnName, hasNames: false));
        }

        /// <inheritdoc/>
        public BlockImageTransformer Fit(IDataView input)
        {
            ArgumentNullException.ThrowIfNull(input);
            _transformer.GetOutputSchema(input.Schema);
            return _transformer;
        }
    }
}

namespace Microsoft.ML
{
    /// <summary>Composes images for trying explanations on.</summary>
    public static class BlockImageCatalog
    {
        /// <summary>Puts each image above or below a block that tells nothing. Which half tells something follows from the row's id, and is told in a column of masks.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="outputColumnName">The column of composed images, vectors of Single of twice the pixels.</param>
        /// <param name="inputColumnName">The column of images, vectors of numbers of known size, row by row; null for <paramref name="outputColumnName"/>.</param>
        /// <param name="options">How they are composed; null for the defaults.</param>
        /// <returns>The estimator.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
        public static BlockImageEstimator ComposeBlockImage(
            this TransformsCatalog catalog, string outputColumnName, string? inputColumnName = null, BlockImageOptions? options = null)
        {
            ArgumentNullException.ThrowIfNull(catalog);
            ArgumentException.ThrowIfNullOrEmpty(outputColumnName);
            return new(CatalogUtils.GetEnvironment(catalog), outputColumnName, inputColumnName ?? outputColumnName, options ?? new());
        }
    }
}

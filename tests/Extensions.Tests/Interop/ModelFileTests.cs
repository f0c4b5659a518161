using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Tests.Scoring;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Models by path: whole or not at all, and with the error that really happened.</summary>
public sealed class ModelFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("modelfile").FullName;

    private string Target => Path.Combine(_folder, "model.zip");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void A_model_comes_back_with_its_columns(TaskKind task, bool isDense)
    {
        var model = Fitted.Model(task, isDense);

        ModelFile.Save(Fitted.Ml, model, Fitted.Data.Schema, Target);
        var loaded = ModelFile.Load(new MLContext(), Target, out var schema);

        Bits.Equal(Fitted.Scores(model), Fitted.Scores(loaded));
        Assert.Equal(Fitted.Data.Schema.Select(column => (column.Name, column.Type)), schema!.Select(column => (column.Name, column.Type)));
        Assert.Single(Directory.GetFileSystemEntries(_folder));
        Bits.Equal(Fitted.Scores(model), Fitted.Scores(new MLContext().Model.Load(Target, out _)));
    }

    [Fact]
    public void Without_columns_there_are_none()
    {
        ModelFile.Save(Fitted.Ml, Fitted.Model(TaskKind.Binary), null, Target);

        ModelFile.Load(new MLContext(), Target, out var schema);

        Assert.Null(schema);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_model_that_fails_half_way_leaves_the_old_file(bool isOld)
    {
        if (isOld)
            File.WriteAllText(Target, "old");
        var good = Fitted.Model(TaskKind.Regression);
        var failing = new TransformerChain<ITransformer>(good, new Failing(new InvalidOperationException("half-way")));

        var e = Assert.ThrowsAny<Exception>(() => ModelFile.Save(Fitted.Ml, failing, Fitted.Data.Schema, Target));

        Assert.Contains("half-way", e.ToString(), StringComparison.Ordinal);
        AssertOld(isOld);
    }

    [Fact]
    public void A_disk_that_fills_up_is_reported_with_the_path()
    {
        File.WriteAllText(Target, "old");
        var failing = new TransformerChain<ITransformer>(Fitted.Model(TaskKind.Regression), new Failing(new IOException("No space left on device")));

        var e = Assert.Throws<IOException>(() => ModelFile.Save(Fitted.Ml, failing, Fitted.Data.Schema, Target));

        Assert.Equal($"Cannot write '{Target}': No space left on device", e.Message);
        AssertOld(true);
    }

    [Fact]
    public void A_missing_folder_is_named() =>
        Assert.Contains(_folder, Assert.Throws<DirectoryNotFoundException>(
            () => ModelFile.Save(Fitted.Ml, Fitted.Model(TaskKind.Regression), null, Path.Combine(_folder, "none", "model.zip"))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_missing_file_is_named()
    {
        var e = Assert.ThrowsAny<IOException>(() => ModelFile.Load(Fitted.Ml, Target, out _));

        Assert.Contains(Target, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(10_000)]
    public void Garbage_is_refused_with_its_path(int length)
    {
        File.WriteAllBytes(Target, [.. Enumerable.Range(0, length).Select(i => (byte)(i * 31))]);

        AssertRefused();
    }

    [Theory]
    [InlineData(20)]
    [InlineData(50)]
    [InlineData(99)]
    public void A_cut_file_is_refused_with_its_path(int percent)
    {
        var file = ModelZip.Save(Fitted.Model(TaskKind.Regression));
        File.WriteAllBytes(Target, file[..(file.Length * percent / 100)]);

        AssertRefused();
    }

    [Fact]
    public void A_zip_of_something_else_is_refused_with_its_path()
    {
        using (var zip = System.IO.Compression.ZipFile.Open(Target, System.IO.Compression.ZipArchiveMode.Create))
            zip.CreateEntry("letter.txt");

        AssertRefused();
    }

    [Fact]
    public void Damage_to_the_network_is_told_with_the_path()
    {
        var file = ModelZip.Save(Fitted.Model(TaskKind.Regression));
        File.WriteAllBytes(Target, ModelZip.ChangeHeader(file, _ => "{"));
        Assert.Contains("network.json: ", AssertRefused(), StringComparison.Ordinal);

        File.WriteAllBytes(Target, ModelZip.Change(file, ModelZip.Weights, content => [.. content, 0]));
        Assert.Contains("weights.safetensors: ", AssertRefused(), StringComparison.Ordinal);
    }

    [Fact]
    public void Damage_to_compressed_data_is_told_with_the_path()
    {
        var file = ModelZip.Save(Fitted.Model(TaskKind.Regression));
        var name = System.Text.Encoding.ASCII.GetBytes(ModelZip.Weights);
        var at = file.AsSpan().IndexOf(name) + name.Length;
        file.AsSpan(at, 40).Fill(0xFF);
        File.WriteAllBytes(Target, file);

        AssertRefused();
    }

    [Fact]
    public void Null_is_refused()
    {
        var model = Fitted.Model(TaskKind.Regression);
        Assert.Throws<ArgumentNullException>(() => ModelFile.Save(null!, model, null, Target));
        Assert.Throws<ArgumentNullException>(() => ModelFile.Save(Fitted.Ml, null!, null, Target));
        Assert.Throws<ArgumentNullException>(() => ModelFile.Save(Fitted.Ml, model, null, null!));
        Assert.Throws<ArgumentNullException>(() => ModelFile.Load(null!, Target, out _));
        Assert.ThrowsAny<ArgumentException>(() => ModelFile.Load(Fitted.Ml, null!, out _));
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    private string AssertRefused()
    {
        var e = Assert.Throws<ModelFormatException>(() => ModelFile.Load(Fitted.Ml, Target, out _));
        Assert.StartsWith($"'{Target}' cannot be loaded. ", e.Message, StringComparison.Ordinal);
        Assert.NotNull(e.InnerException);
        return e.Message;
    }

    private void AssertOld(bool isThere)
    {
        Assert.Equal(isThere ? [Target] : [], Directory.GetFileSystemEntries(_folder));
        if (isThere)
            Assert.Equal("old", File.ReadAllText(Target));
    }

    /// <summary>A transformer that can be used but not saved.</summary>
    private sealed class Failing(Exception exception) : ITransformer
    {
        public bool IsRowToRowMapper => false;

        public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => inputSchema;

        public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema) => throw new NotSupportedException();

        public IDataView Transform(IDataView input) => input;

        public void Save(ModelSaveContext ctx) => throw exception;
    }
}

using System.Text.Json;
using System.Text.Json.Serialization;

namespace MlNetMlp.Persistence;

/// <summary>
/// Reads and writes records of an open set: the member <c>kind</c> names the type and its assembly, and <see cref="KnownTypes"/> decides whether that is one of the set.
/// </summary>
/// <typeparam name="T">The abstract record that all of the set derive from.</typeparam>
internal sealed class OpenRecordConverter<T> : JsonConverter<T>
    where T : class
{
    private const string Kind = "kind";

    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        using var document = JsonDocument.ParseValue(ref reader);
        var root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty(Kind, out var kind) || kind.ValueKind != JsonValueKind.String)
            throw new JsonException($"A {typeof(T).Name} must have a '{Kind}': \"full name of the type, name of its assembly\".");
        if (kind.GetString()!.Split(", ") is not [var typeName, var assemblyName])
            throw new JsonException($"'{kind}' is not a full name of a type and the name of its assembly.");
        Type type;
        try
        {
            type = KnownTypes.Find(assemblyName, typeName, typeof(T), fault => new JsonException(fault));
        }
        catch (ModelFormatException e)
        {
            throw new JsonException(e.Message, e);
        }

        var members = root.EnumerateObject().Where(member => member.Name != Kind).ToDictionary(member => member.Name, member => member.Value);
        return (T)JsonSerializer.SerializeToElement(members).Deserialize(type, options)!;
    }

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options)
    {
        var type = value.GetType();
        writer.WriteStartObject();
        writer.WriteString(Kind, $"{type.FullName}, {type.Assembly.GetName().Name}");
        foreach (var member in JsonSerializer.SerializeToElement(value, type, options).EnumerateObject())
            member.WriteTo(writer);
        writer.WriteEndObject();
    }
}

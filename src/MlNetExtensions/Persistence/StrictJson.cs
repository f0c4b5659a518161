using System.Text.Json;
using System.Text.Json.Serialization;

namespace MlNetMlp.Persistence;

/// <summary>JSON as it stands in files of ours and in options: what is not understood is refused rather than passed over.</summary>
internal static class StrictJson
{
    public static readonly JsonSerializerOptions Settings = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        MaxDepth = 32,
        AllowDuplicateProperties = false,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        NumberHandling = JsonNumberHandling.Strict,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        PropertyNameCaseInsensitive = false,
        Converters = { new JsonStringEnumConverter(allowIntegerValues: false) },
    };
}

using Microsoft.ML;
using Microsoft.ML.Data;

// Loads a model and scores rows that were saved beside it. It names no type of this repository: ML.NET must find them by itself.
var ml = new MLContext();
var model = ml.Model.Load(args[0], out _);
foreach (var score in model.Transform(ml.Data.LoadFromBinary(args[1])).GetColumn<float>("Score"))
    Console.WriteLine($"{BitConverter.SingleToUInt32Bits(score):x8}");

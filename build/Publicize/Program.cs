// Writes reference copies of assemblies in which internal and private members are public, so that the interop layer compiles against
// them; at run time IgnoresAccessChecksToAttribute opens the real ones. "private protected" becomes "protected" and "protected" stays,
// so that overrides of inner members do not grow the public surface of the classes that derive from them.
// Usage: Publicize OUTPUT_FOLDER REFERENCE_FOLDERS ASSEMBLY... (the folders separated by ";")
using Mono.Cecil;

var folders = args[1].Split(';');

foreach (var path in args.Skip(2))
{
    using var resolver = new DefaultAssemblyResolver();
    foreach (var folder in folders)
        resolver.AddSearchDirectory(folder);
    using var module = ModuleDefinition.ReadModule(path, new ReaderParameters { AssemblyResolver = resolver });
    foreach (var type in module.GetTypes())
    {
        if (type.IsNested)
            type.IsNestedPublic = true;
        else
            type.IsPublic = true;

        foreach (var method in type.Methods)
        {
            if (method.IsFamilyAndAssembly)
                method.IsFamily = true;
            else if (!method.IsFamily && !method.IsFamilyOrAssembly && !(method.IsPrivate && method.IsVirtual))
                method.IsPublic = true;
        }

        // A field behind an event has the event's name: opened, it would make every use of the event ambiguous.
        var events = type.Events.Select(e => e.Name).ToHashSet();
        foreach (var field in type.Fields.Where(f => !events.Contains(f.Name)))
        {
            if (field.IsFamilyAndAssembly)
                field.IsFamily = true;
            else if (!field.IsFamily && !field.IsFamilyOrAssembly)
                field.IsPublic = true;
        }
    }

    module.Write(Path.Combine(args[0], Path.GetFileName(path)));
}

namespace MlNetMlp.Persistence;

/// <summary>Replaces files as a whole: whoever opens one sees the old content or the new, never a part of either.</summary>
internal static class AtomicFile
{
    /// <summary>Writes a file beside its final place, flushes it to disk and renames it over the old one, if there was one.</summary>
    /// <param name="path">The file. A symbolic link is followed, and the file that it leads to is replaced.</param>
    /// <param name="write">Writes the content to a stream that is readable and seekable. It may close the stream.</param>
    /// <remarks>
    /// When anything fails, the old file is as it was and the new one is deleted. What <paramref name="write"/> throws is thrown on, except
    /// that a plain <see cref="IOException"/>, as of a full disk, is thrown as one that names <paramref name="path"/>. The old file's Unix
    /// mode is kept; its owner and other hard links to it are not. Of several writers at once, the last to finish wins.
    /// </remarks>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="IOException">The file cannot be written, or <paramref name="path"/> is a folder or a device.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(write);

        try
        {
            WriteBeside(FindTarget(path), write);
        }
        catch (IOException e) when (e.GetType() == typeof(IOException))
        {
            throw new IOException($"Cannot write '{path}': {e.Message}", e) { HResult = e.HResult };
        }
        catch (UnauthorizedAccessException e)
        {
            throw new UnauthorizedAccessException($"Cannot write '{path}': {e.Message}", e);
        }
    }

    private static string FindTarget(string path)
    {
        string target = Path.GetFullPath(path);
        if (new FileInfo(target).LinkTarget is not null)
            target = File.ResolveLinkTarget(target, returnFinalTarget: true)!.FullName;

        if (Directory.Exists(target))
            throw new IOException("it is a folder.");

        // A rename would put a plain file in the place of /dev/null, for every program of the machine.
        if (target.StartsWith("/dev/", StringComparison.Ordinal) && !target.StartsWith("/dev/shm/", StringComparison.Ordinal))
            throw new IOException("it is a device, which cannot be replaced as a whole.");

        string folder = Path.GetDirectoryName(target)!;
        return Directory.Exists(folder)
            ? target
            : throw new DirectoryNotFoundException($"Cannot write '{path}': the folder '{folder}' does not exist.");
    }

    private static void WriteBeside(string target, Action<Stream> write)
    {
        // In the same folder, as a rename is only atomic within one file system; with a short name, as the target's may be the longest
        // that is allowed.
        string temporary = Path.Combine(Path.GetDirectoryName(target)!, $".{Guid.NewGuid():N}.tmp");
        UnixFileMode? oldMode = !OperatingSystem.IsWindows() && File.Exists(target) ? File.GetUnixFileMode(target) : null;
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows() && oldMode is not null)
        {
            // The old file may be private: nobody else may open the new one before it has the same mode.
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        var stream = new FileStream(temporary, options);
        try
        {
            using (stream)
                write(stream);

            // Opened again, as the writer may have closed the stream; flushing works on the file, whoever wrote it.
            using (var handle = File.OpenHandle(temporary, FileMode.Open, FileAccess.Write))
            {
                if (!OperatingSystem.IsWindows() && oldMode is { } mode)
                    File.SetUnixFileMode(handle, mode);
                RandomAccess.FlushToDisk(handle);
            }

            File.Move(temporary, target, overwrite: true);
        }
        catch
        {
            DeleteQuietly(temporary);
            throw;
        }
    }

    private static void DeleteQuietly(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The failure that led here says more than this one.
        }
    }
}

// Where a page's files are: our own in the repository's `pages` or in an installed `share/columba/pages`; the
// distribution's libraries and the map's ground where `make deps` or the package put them.

import System

package enum PageFolders {
    /// Names one or more folders, separated by `:`, that come before all others.
    package static let variable = "COLUMBA_PAGES"
    /// The repository is not looked for farther up than this.
    private static let levels = 6

    /// The folders to take files from, in order: a file of an earlier one hides that of a later one.
    package static func find(
        environment: [String: String] = Environment.variables,
        executableDirectory: String = Environment.executableDirectory
    ) -> [String] {
        if let named = environment[variable], !named.isEmpty {
            return named.split(separator: ":").map(String.init).filter { FileSystem.isDirectory($0) }
        }
        let installed = FileSystem.parent(of: executableDirectory) + "/share/columba/pages"
        if FileSystem.isDirectory(installed) { return [installed] }
        var folder = executableDirectory
        for _ in 0..<levels {
            if FileSystem.exists(folder + "/pages/shared/theme.css") {
                return [folder + "/pages", folder + "/.tools/pages"].filter { FileSystem.isDirectory($0) }
            }
            let above = FileSystem.parent(of: folder)
            guard above != folder else { break }
            folder = above
        }
        return []
    }
}

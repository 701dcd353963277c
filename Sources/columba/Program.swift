// The analysts', integrators' and newcomers' program: demo, simulated drones, sending files, alerts, SQL.
import ColumbaCommands
import Glibc

@main
enum Program {
    static func main() {
        // A reader that has gone (`| head`) is an error of write(2), not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        exit(ColumbaProgram.run(Array(CommandLine.arguments.dropFirst())))
    }
}

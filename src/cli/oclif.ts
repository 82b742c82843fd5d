// A command line for oclif: every command that start.ts does not run by itself, help, and whatever is wrong in one.
import { runProcess } from './main.ts';
import { stdout } from './stdout.ts';

/** Runs it and ends the process with its status. `packageRoot` is the directory of package.json. */
export function runOclif(argv: string[], packageRoot: string): Promise<never> {
  return runProcess(argv, async () => {
    // oclif writes to it.
    stdout();
    const { run } = await import('@oclif/core/run');
    // No plugins but our own: oclif would look for a user's in the data directory.
    await run(argv, { root: packageRoot, userPlugins: false });
  });
}

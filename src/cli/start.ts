// Where bin/run.js begins. The build makes one file of this and all that it imports but oclif.ts (.ci/bundle.js), so the
// command lines that it runs by itself load one module instead of a hundred; for others it must not have begun anything.
import { commandFirst } from './argument-order.ts';
import { leanCommand } from './lean-start.ts';
import { runProcess } from './main.ts';

/** Runs the command line and ends the process with its status. `packageRoot`: the directory of package.json. */
export async function run(words: string[], packageRoot: string): Promise<never> {
  const argv = commandFirst(words);
  const lean = leanCommand(argv);
  if (lean) return runProcess(argv, lean);
  const { runOclif } = await import('./oclif.ts');
  return runOclif(argv, packageRoot);
}

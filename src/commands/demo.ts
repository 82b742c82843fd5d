// `seekfs demo`: the main job on nothing but this package.
import { SeekfsCommand } from '../cli/base-command.ts';
import { Demo, type DemoStep } from '../cli/demo.ts';
import { interruption } from '../cli/interrupt.ts';
import { writeText } from '../cli/output.ts';
import { formatDuration } from '../lib/base/units.ts';
import { stdout } from '../cli/stdout.ts';

export default class DemoCommand extends SeekfsCommand {
  static override summary = 'try it all on a small data set in a temporary directory';
  static override description = `Needs no store, no server and no configuration, and leaves nothing behind. Every step compares the bytes that
came back with the source and says how long it took.`;
  static override examples = ['<%= config.bin %> demo'];
  protected override readonly takesAt = false;
  protected override readonly takesVia = false;

  async run(): Promise<void> {
    const { flags } = await this.parse(DemoCommand);
    this.refuseFlags(flags);
    const startedMs = performance.now();
    const steps: DemoStep[] = [];
    await Demo.run({
      execPath: process.execPath,
      script: process.argv[1]!,
      signal: interruption.signal,
      onStep: (step) => {
        steps.push(step);
        if (!flags.json) {
          process.stderr.write(`${step.step}\n    ${step.verified} (${formatDuration(step.elapsedMs)})\n`);
        }
      },
    });
    const elapsedMs = performance.now() - startedMs;
    if (flags.json) await writeText(stdout(), `${JSON.stringify(documentOf(steps, elapsedMs))}\n`);
    else process.stderr.write(`all ${steps.length} steps verified in ${formatDuration(elapsedMs)}\n`);
  }
}

function documentOf(steps: readonly DemoStep[], elapsedMs: number): object {
  return {
    steps: steps.map((one) => ({ step: one.step, verified: one.verified, elapsed_ms: Math.round(one.elapsedMs) })),
    elapsed_ms: Math.round(elapsedMs),
  };
}

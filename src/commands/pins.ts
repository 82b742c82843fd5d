// `seekfs pins`: the named versions of a namespace.
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg } from '../cli/arguments.ts';
import { listPins } from '../lib/manifest/pins.ts';

export default class Pins extends SeekfsCommand {
  static override summary = 'list the named versions of a namespace';
  static override description = 'One pin a line on stdout: the version, a tab, the name.';
  static override examples = ['<%= config.bin %> pins dev'];
  static override args = { ns: nsArg };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Pins);
    await this.work(flags, async ({ seekfs, signal, print, document }) => {
      const pins = await listPins(seekfs.publishing, args.ns, { signal });
      await document({ ns: args.ns, pins: pins.map(({ name, version }) => ({ name, version })) });
      await print(pins.map(({ name, version }) => `v-${version}\t${name}\n`).join(''));
    });
  }
}

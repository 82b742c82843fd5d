// `seekfs pin`: names a version, so that gc keeps it.
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, pinNameArg, versionArg } from '../cli/arguments.ts';
import { setPin } from '../lib/manifest/pins.ts';

export default class Pin extends SeekfsCommand {
  static override summary = 'give a version a name that gc keeps it by';
  static override description = 'A name that exists is moved.';
  static override examples = ['<%= config.bin %> pin dev run-17 3'];
  static override args = {
    ns: nsArg,
    name: pinNameArg,
    version: versionArg,
  };
  protected override readonly takesAt = false;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Pin);
    await this.work(flags, async ({ seekfs, signal, say, document }) => {
      const { ns, name, version } = args;
      await setPin(seekfs.publishing, { ns, name, version }, { signal });
      await document({ ns, name, version });
      say(`${name} pins v-${version} of ${ns}`);
    });
  }
}

// `seekfs unpin`: removes the name of a version.
import { SeekfsCommand } from '../cli/base-command.ts';
import { nsArg, pinNameArg } from '../cli/arguments.ts';
import { removePin } from '../lib/manifest/pins.ts';

export default class Unpin extends SeekfsCommand {
  static override summary = 'remove the name of a version, so that gc may remove that';
  static override examples = ['<%= config.bin %> unpin dev run-17'];
  static override args = { ns: nsArg, name: pinNameArg };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Unpin);
    await this.work(flags, async ({ seekfs, signal, say, document }) => {
      const { ns, name } = args;
      await removePin(seekfs.publishing, { ns, name }, { signal });
      await document({ ns, name });
      say(`${name} of ${ns} pins nothing any more`);
    });
  }
}

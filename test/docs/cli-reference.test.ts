// docs/cli.md says what the commands declare.
import { expect, test } from 'vitest';
import { cliReference } from '../support/cli-reference.ts';

test('the reference of the command line lists exactly the commands, arguments, flags and examples that exist', async () => {
  await expect(await cliReference()).toMatchFileSnapshot('../../docs/cli.md');
});

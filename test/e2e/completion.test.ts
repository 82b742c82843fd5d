// Shell completion as bash has it: the script that `seekfs autocomplete` gives completes topics, commands and flags.
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const bin = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

/** What the user types, the last word being the one under the cursor. */
const TYPED = ['ma', 'manifest ro', 'rea', 'manifest gen --pa', 'gc --gr', 'nothing-like-this'];

test('the script of `seekfs autocomplete` completes commands and their flags in bash', async () => {
  const root = await temporaryDirectory('seekfs-completion');
  await mkdir(join(root, 'bin'));
  await writeFile(join(root, 'bin/seekfs'), `#!/bin/sh\nexec "${process.execPath}" "${bin}" "$@"\n`);
  await chmod(join(root, 'bin/seekfs'), 0o755);
  // First what the instructions say: asking for them builds the script, and its line goes into .bashrc. Then what bash
  // does at a tab.
  const script = `
    seekfs autocomplete bash >&2
    eval "$(seekfs autocomplete script bash)"
    function=$(complete -p seekfs | sed -E 's/.* -F ([^ ]+) .*/\\1/')
    for typed in "$@"; do
      COMP_WORDS=(seekfs $typed) COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)) COMPREPLY=()
      "$function"
      # Readline shows each only once.
      echo "$typed:" $(printf '%s\\n' "\${COMPREPLY[@]}" | sort -u)
    done`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script, 'bash', ...TYPED], {
    env: { PATH: `${join(root, 'bin')}:${process.env['PATH']}`, HOME: root },
  });
  expect(stdout.trim().split('\n')).toEqual([
    'ma: manifest',
    'manifest ro: rollback',
    'rea: readv',
    'manifest gen --pa: --page-size',
    'gc --gr: --grace',
    'nothing-like-this:',
  ]);
});

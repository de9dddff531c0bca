import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { formatCompletion } from '../../../functions/cli/format-completion.ts';
import type { Command } from '../../../functions/shared/command-line/index.ts';

const unused = {
  description: '',
  examples: [],
  run: (): Promise<boolean> => assert.fail('not called'),
};
const commands: readonly Command[] = [
  {
    ...unused,
    name: 'copy',
    summary: "copy somebody's images",
    operands: [{ name: 'IMAGE', summary: '', isRepeated: true }],
    options: {
      apply: { type: 'switch', summary: 'change [all]' },
      used: { type: 'text', value: 'FILE', summary: 'in use' },
      installation: { type: 'text', value: 'NAME', isValueOptional: true, summary: 'which' },
      output: { type: 'choice', choices: ['table', 'json'], summary: 'form' },
    },
  },
  {
    ...unused,
    name: 'paint',
    summary: 'paint',
    operands: [{ name: 'COLOUR', summary: '', choices: ['red', 'green'] }],
  },
];

const hasBash = spawnSync('bash', ['--version']).status === 0;

/** What a real bash offers at TAB behind `words`. */
async function completeInBash(words: readonly string[]): Promise<readonly string[]> {
  const script = `${formatCompletion('bash', 'try-it', commands)}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
$(complete -p try-it | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  execFile('bash', ['-c', script, 'bash', 'try-it', ...words], (_, stdout, stderr) =>
    resolve([...stdout.split('\n'), ...stderr.split('\n')].filter((line) => line !== '')),
  );
  return await promise;
}

describe('formatCompletion', () => {
  const cases: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
    [[''], ['copy', 'paint', 'help']],
    [['pa'], ['paint']],
    [['--v'], ['--version']],
    [
      ['copy', '--'],
      ['--apply', '--used', '--installation', '--output', '--help'],
    ],
    [['copy', 'nginx', '--a'], ['--apply']],
    [['copy', '--output', 'j'], ['json']],
    [['copy', '--used', ''], []],
    [
      ['paint', ''],
      ['red', 'green'],
    ],
    [['help', 'c'], ['copy']],
    [['nothing', '--'], []],
    [['copy', '$(echo x >&2)'], []],
  ];
  for (const [words, offered] of cases) {
    it(`completes "${words.join(' ')}" in bash`, { skip: !hasBash }, async () => {
      assert.deepEqual(await completeInBash(words), offered);
    });
  }

  it('writes the options and choices of each command for zsh, quoted', () => {
    const script = formatCompletion('zsh', 'try-it', commands);

    assert.match(script, /^#compdef try-it\n/);
    const lines = script.split('\n').map((line) => line.trim());
    assert.ok(lines.includes(String.raw`'copy:copy somebody'\''s images'`));
    assert.ok(
      lines.includes(
        String.raw`copy) _arguments '--apply[change \[all\]]' '--used=[in use]:FILE:_default' '--installation=-[which]::NAME: ' '--output=[form]:output:(table json)' '--help[show this help]' '*:IMAGE:_default' ;;`,
      ),
    );
    assert.ok(
      lines.includes(
        String.raw`paint) _arguments '--help[show this help]' '1:COLOUR:(red green)' ;;`,
      ),
    );
  });

  it('writes the options and choices of each command for fish, quoted', () => {
    const lines = formatCompletion('fish', 'try-it', commands).split('\n');

    for (const line of [
      'complete --command try-it --no-files',
      String.raw`complete --command try-it --condition __fish_use_subcommand --arguments copy --description 'copy somebody\'s images'`,
      "complete --command try-it --condition '__fish_seen_subcommand_from copy' --long-option used --require-parameter --force-files --description 'in use'",
      "complete --command try-it --condition '__fish_seen_subcommand_from copy' --long-option installation --description 'which'",
      "complete --command try-it --condition '__fish_seen_subcommand_from copy' --long-option output --exclusive --arguments 'table json' --description 'form'",
      "complete --command try-it --condition '__fish_seen_subcommand_from paint' --arguments 'red green'",
    ]) {
      assert.ok(lines.includes(line), line);
    }
  });
});

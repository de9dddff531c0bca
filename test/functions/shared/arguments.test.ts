import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nearestName, readArguments } from '../../../functions/shared/arguments.ts';

const flags = {
  apply: 'boolean',
  port: 'string',
  used: 'string',
  'tls-cert-file': 'string',
} as const;

function problemsOf(args: readonly string[], maxPositionals = 0): readonly string[] {
  return readArguments(args, { flags, maxPositionals }).problems;
}

describe('readArguments', () => {
  it('separates switches, values and positionals of a command line', () => {
    const args = ['--apply', 'nginx', '--port', '1', '--used=a=b', '--', '--redis'];

    assert.deepEqual(readArguments(args, { flags, maxPositionals: 2 }), {
      switches: new Set(['apply']),
      values: new Map([
        ['port', '1'],
        ['used', 'a=b'],
      ]),
      positionals: ['nginx', '--redis'],
      wantsHelp: false,
      problems: [],
    });
  });

  for (const flag of ['--help', '-h']) {
    it(`accepts ${flag} for every command`, () => {
      const { wantsHelp, problems } = readArguments([flag], {});

      assert.deepEqual({ wantsHelp, problems }, { wantsHelp: true, problems: [] });
    });
  }

  it('reads a group of short flags as one unknown flag, also if it contains an h', () => {
    for (const group of ['-vvh', '-sh=1']) {
      const { wantsHelp, problems } = readArguments([group], {});

      assert.equal(wantsHelp, false);
      assert.deepEqual(problems, [`unknown flag ${group.slice(0, 2)}`]);
    }
  });

  const mistakes: readonly (readonly [args: readonly string[], problems: readonly string[]])[] = [
    [['8443'], ['unexpected argument "8443"']],
    [['port'], ['unexpected argument "port"; did you mean --port?']],
    [['aplly'], ['unexpected argument "aplly"; did you mean --apply?']],
    [['prot=8443'], ['unexpected argument "prot=…"; did you mean --port?']],
    [
      ['TLS_CERT_FILE=/tls/tls.crt'],
      ['unexpected argument "TLS_CERT_FILE=…"; did you mean --tls-cert-file?'],
    ],
    [['tls-cert'], ['unexpected argument "tls-cert"; did you mean --tls-cert-file?']],
    [['evil\u001b[2J'], ['unexpected argument "evil [2J"']],
    [['--aplly'], ['unknown flag --aplly; did you mean --apply?']],
    [['--prot', '1'], ['unknown flag --prot; did you mean --port?']],
    [['--prot=1'], ['unknown flag --prot; did you mean --port?']],
    [['--verbose'], ['unknown flag --verbose']],
    [['--constructor'], ['unknown flag --constructor']],
    [['-v'], ['unknown flag -v']],
    [['-apply'], ['unknown flag -apply; did you mean --apply?']],
    [['--port'], ['--port needs a value']],
    [['--port='], ['--port needs a value']],
    [['--port', '--apply'], ['--port needs a value']],
    [['--apply=yes'], ['--apply takes no value']],
    [
      ['--aplly', 'x', 'shop', '-v', '--used'],
      [
        'unknown flag --aplly; did you mean --apply?',
        'unexpected argument "shop"',
        'unknown flag -v',
        '--used needs a value',
      ],
    ],
  ];
  for (const [args, problems] of mistakes) {
    it(`rejects the arguments ${JSON.stringify(args.join(' '))} and names the wrong one`, () => {
      assert.deepEqual(problemsOf(args), problems);
    });
  }

  it('rejects only the positional arguments beyond the maximum', () => {
    assert.deepEqual(problemsOf(['nginx', 'redis'], 1), ['unexpected argument "redis"']);
  });

  it('never repeats the value of an unknown flag, which can be a password', () => {
    for (const args of [
      ['--password=hunter2'],
      ['--password', 'hunter2'],
      ['PASSWORD=hunter2'],
      ['-phunter2'],
      ['-pcorrect'],
    ]) {
      assert.doesNotMatch(problemsOf(args).join(''), /hunter2|c.*o.*r.*e.*t/);
      assert.notDeepEqual(problemsOf(args), []);
    }
  });
});

describe('nearestName', () => {
  const names = ['generations', 'rollback', 'prune'];
  const cases = [
    { word: 'rolback', nearest: 'rollback' },
    { word: 'purne', nearest: 'prune' },
    { word: 'gen', nearest: 'generations' },
    { word: 'p', nearest: undefined },
    { word: 'undeploy', nearest: undefined },
    { word: '', nearest: undefined },
  ];
  for (const { word, nearest } of cases) {
    it(`suggests ${nearest} for "${word}"`, () => {
      assert.equal(nearestName(word, names), nearest);
    });
  }
});

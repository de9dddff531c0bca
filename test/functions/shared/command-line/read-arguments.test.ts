import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  nearestName,
  type Option,
  readArguments,
} from '../../../../functions/shared/command-line/index.ts';

const options: Readonly<Record<string, Option>> = {
  apply: { type: 'switch', summary: '' },
  port: { type: 'text', value: 'N', summary: '' },
  used: { type: 'text', value: 'FILE', summary: '' },
  'tls-cert-file': { type: 'text', value: 'FILE', summary: '' },
  installation: { type: 'text', value: 'NAME', isValueOptional: true, summary: '' },
  output: { type: 'choice', choices: ['table', 'json'], summary: '' },
  rate: { type: 'number', value: 'N', min: 1, max: 60, summary: '' },
};

/** A command with up to two optional operands. */
function read(args: readonly string[], count = 0): ReturnType<typeof readArguments> {
  const operands = ['IMAGE', 'DIGEST'].map((name) => ({ name, summary: '', isOptional: true }));
  return readArguments(args, { name: 'try', options, operands: operands.slice(0, count) });
}

describe('readArguments', () => {
  it('separates switches, values and positionals of a command line', () => {
    const args = ['--apply', 'nginx', '--port', '1', '--used=a=b', '--', '--redis'];

    assert.deepEqual(read(args, 2), {
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

  it('reads a choice and a number of a command line', () => {
    const { values, problems } = read(['--output', 'json', '--rate=60']);

    assert.deepEqual(
      { values, problems },
      {
        values: new Map([
          ['output', 'json'],
          ['rate', '60'],
        ]),
        problems: [],
      },
    );
  });

  it('takes an optional value only behind =, so that the next word stays an operand', () => {
    const named = read(['--installation=ops/one', 'nginx'], 1);
    const bare = read(['--installation', 'nginx'], 1);

    assert.deepEqual(named.values, new Map([['installation', 'ops/one']]));
    assert.deepEqual(bare.values, new Map([['installation', '']]));
    for (const { positionals, problems } of [named, bare]) {
      assert.deepEqual({ positionals, problems }, { positionals: ['nginx'], problems: [] });
    }
  });

  for (const flag of ['--help', '-h']) {
    it(`accepts ${flag} for every command, also behind a mistake`, () => {
      assert.deepEqual([read([flag]).wantsHelp, read([flag]).problems], [true, []]);
      assert.equal(read(['--prot', flag]).wantsHelp, true);
    });
  }

  it('does not take --help behind -- for a request for help', () => {
    const { wantsHelp, positionals } = read(['--', '--help'], 1);

    assert.deepEqual({ wantsHelp, positionals }, { wantsHelp: false, positionals: ['--help'] });
  });

  it('reads a group of short flags as one unknown flag, also if it contains an h', () => {
    for (const group of ['-vvh', '-sh=1']) {
      const { wantsHelp, problems } = read([group]);

      assert.equal(wantsHelp, false);
      assert.deepEqual(problems, [`unknown flag ${group.slice(0, 2)}`]);
    }
  });

  it('names each operand that is missing', () => {
    const operands = [
      { name: 'IMAGE', summary: '' },
      { name: 'DIGEST', summary: '' },
    ];
    const problemsFor = (args: readonly string[]): readonly string[] =>
      readArguments(args, { name: 'try', operands }).problems;

    assert.deepEqual(problemsFor([]), ['IMAGE is missing', 'DIGEST is missing']);
    assert.deepEqual(problemsFor(['nginx']), ['DIGEST is missing']);
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
    [['--apply='], ['--apply takes no value']],
    [['--installation='], ['--installation needs a value']],
    [['--output', 'yaml'], ['--output must be table or json']],
    [['--rate', '61'], ['--rate must be a whole number from 1 to 60']],
    [['--rate', '-1'], ['--rate must be a whole number from 1 to 60']],
    [['--rate=1e1'], ['--rate must be a whole number from 1 to 60']],
    [['--no-apply'], ['unknown flag --no-apply']],
    [
      ['--aplly', 'x', 'shop', '-v', '--used'],
      [
        '--used needs a value',
        'unknown flag --aplly; did you mean --apply?',
        'unexpected argument "shop"',
        'unknown flag -v',
      ],
    ],
  ];
  for (const [args, problems] of mistakes) {
    it(`rejects the arguments ${JSON.stringify(args.join(' '))} and names the wrong one`, () => {
      assert.deepEqual(read(args).problems, problems);
    });
  }

  it('rejects only the positional arguments beyond the maximum', () => {
    assert.deepEqual(read(['nginx', 'redis'], 1).problems, ['unexpected argument "redis"']);
  });

  it('never repeats the value of an unknown flag, which can be a password', () => {
    for (const args of [
      ['--password=hunter2'],
      ['--password', 'hunter2'],
      ['PASSWORD=hunter2'],
      ['-phunter2'],
      ['-pcorrect'],
    ]) {
      const { problems } = read(args);
      assert.doesNotMatch(problems.join(''), /hunter2|c.*o.*r.*e.*t/);
      assert.notDeepEqual(problems, []);
    }
  });

  it('takes no word behind an unknown flag for an operand, which could be printed', () => {
    assert.deepEqual(read(['--password', 'Hunter2', 'nginx'], 2).positionals, ['nginx']);
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

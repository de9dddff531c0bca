import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Prints each file of lib and functions that the tests leave partly uncovered: its lines, and the functions that are never called.
const dir = await mkdtemp(join(tmpdir(), 'image-cloner-coverage-'));
try {
  const report = join(dir, 'lcov.info');
  const code = await measure(report);
  const files = (await readFile(report, 'utf8')).split('end_of_record').flatMap(parseFile);
  for (const { path, uncovered, uncalled } of files) {
    if (uncovered.length + uncalled.length > 0) process.stdout.write(`\n${path}\n`);
    if (uncovered.length > 0) process.stdout.write(`  lines      ${formatRanges(uncovered)}\n`);
    if (uncalled.length > 0) process.stdout.write(`  functions  ${uncalled.join(', ')}\n`);
  }
  const total = files.reduce((sum, { lines }) => sum + lines, 0);
  const covered = files.reduce((sum, { lines, uncovered }) => sum + lines - uncovered.length, 0);
  process.stdout.write(`\n${covered} of ${total} lines are covered\n`);
  if (code !== 0) process.stderr.write('some tests failed: run npm test\n');
} finally {
  await rm(dir, { recursive: true });
}

async function measure(report: string): Promise<number> {
  const flags = [
    '--experimental-test-coverage',
    '--test-coverage-include=lib/**/*.ts',
    '--test-coverage-include=functions/**/*.ts',
    '--test-reporter=lcov',
    `--test-reporter-destination=${report}`,
  ];
  const command = ['--import', 'tsx', 'test/run.ts', ...flags];
  const child = spawn(process.execPath, command, { stdio: 'inherit' });
  return await new Promise((done) => {
    child.on('close', (code) => done(code ?? 1));
  });
}

interface FileCoverage {
  readonly path: string;
  readonly lines: number;
  readonly uncovered: readonly number[];
  /** Functions that are never called, as `name:line`. */
  readonly uncalled: readonly string[];
}

/** One record of an lcov file: https://github.com/linux-test-project/lcov, geninfo(1). */
function parseFile(record: string): readonly FileCoverage[] {
  const [, path] = /^SF:(.+)$/m.exec(record) ?? [];
  if (path === undefined) return [];
  const lineHits = [...record.matchAll(/^DA:(\d+),(\d+)/gm)];
  const starts = new Map(
    [...record.matchAll(/^FN:(\d+),(.+)$/gm)].map(([, at, name]) => [name, at]),
  );
  const uncovered = lineHits.filter(([, , hits]) => hits === '0').map(([, line]) => Number(line));
  const uncalled = [...record.matchAll(/^FNDA:0,(?!anonymous_)(.+)$/gm)].map(
    ([, name]) => `${name}:${starts.get(name)}`,
  );
  return [{ path, lines: lineHits.length, uncovered, uncalled }];
}

/** Formats line numbers as `3-7 12`. */
function formatRanges(lines: readonly number[]): string {
  const ranges: { readonly from: number; to: number }[] = [];
  for (const line of lines) {
    const last = ranges.at(-1);
    if (last?.to === line - 1) last.to = line;
    else ranges.push({ from: line, to: line });
  }
  return ranges.map(({ from, to }) => (from === to ? from : `${from}-${to}`)).join(' ');
}

import { allOrProblems } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { print, printJson } from '../shared/run-command.ts';
import { readChosenEnv } from '../shared/settings/command-env.ts';
import { type Backup, openBackup } from './backup.ts';
import { formatGenerations, readGenerations, toGenerationsDocument } from './list.ts';
import { formatPrune, type PruneReport, prune } from './prune.ts';
import { runRollback } from './rollback.ts';

const { signal } = new AbortController();

/** Resolves with `false` if the backup has none. */
export async function runGenerations(args: Arguments): Promise<boolean> {
  const [image = ''] = args.positionals;
  const list = await readGenerations(await open(args), image, signal);
  if (args.switches.has('json')) printJson(toGenerationsDocument(list));
  else for (const line of formatGenerations(list, image)) print(line);
  return list.generations.length > 0;
}

export async function runRollbackOrRelease(args: Arguments): Promise<boolean> {
  const [image = '', digest] = args.positionals;
  const backup = await open(args);
  return await runRollback(
    backup,
    image,
    digest === undefined ? 'release' : { digest },
    print,
    signal,
  );
}

export async function runPrune(args: Arguments): Promise<boolean> {
  const { switches, values, positionals: images } = args;
  const usedFile = values.get('used');
  const used = usedFile === undefined ? [] : ['--used', usedFile];
  const next = ['image-cloner prune --apply', ...used, ...images].join(' ');
  const report = (found: PruneReport): void => {
    if (switches.has('json')) printJson(found);
    else for (const line of formatPrune(found, next)) print(line);
  };
  const options = { images, apply: switches.has('apply'), usedFile };
  return await prune(await open(args), options, report, signal);
}

async function open(args: Arguments): Promise<Backup> {
  const opened = readChosenEnv(args, process.env).then(openBackup);
  const [backup] = await allOrProblems(args.problems, [opened]);
  return backup;
}

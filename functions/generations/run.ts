import { allOrProblems } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { print } from '../shared/run-command.ts';
import { type Backup, openBackup } from './backup.ts';
import { listGenerations } from './list.ts';
import { prune } from './prune.ts';
import { runRollback } from './rollback.ts';

const { signal } = new AbortController();

export async function runGenerations({ positionals, problems }: Arguments): Promise<boolean> {
  const backup = await open(problems);
  const [image = ''] = positionals;
  return await listGenerations(backup, image, print, signal);
}

export async function runRollbackOrRelease({ positionals, problems }: Arguments): Promise<boolean> {
  const [image = '', digest] = positionals;
  const backup = await open(problems);
  return await runRollback(
    backup,
    image,
    digest === undefined ? 'release' : { digest },
    print,
    signal,
  );
}

export async function runPrune({
  switches,
  values,
  positionals,
  problems,
}: Arguments): Promise<boolean> {
  const options = {
    images: positionals,
    apply: switches.has('apply'),
    usedFile: values.get('used'),
  };
  return await prune(await open(problems), options, print, signal);
}

async function open(problems: readonly string[]): Promise<Backup> {
  const [backup] = await allOrProblems(problems, [openBackup(process.env)]);
  return backup;
}

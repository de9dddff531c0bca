import { text } from 'node:stream/consumers';
import { CloneError } from '../../lib/errors.ts';
import { parseReference } from '../../lib/index.ts';
import { openCopier } from '../shared/adapters/open-copier.ts';
import { allOrProblems } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { createInterruptSignal } from '../shared/run-command.ts';
import { readChosenEnv } from '../shared/settings/command-env.ts';
import { createStdoutDisplay } from '../shared/terminal/progress-display.ts';
import { copyImages } from './copy-images.ts';
import { parseImageList } from './plan-image.ts';

export async function clone(args: Arguments): Promise<boolean> {
  const { switches, positionals, problems } = args;
  const images = await readImages(positionals);
  const display = createStdoutDisplay();
  const isEmpty = images.length === 0 && problems.length === 0;
  const missing = isEmpty ? ['standard input names no image'] : [];
  const [copier] = await allOrProblems(
    [...images.flatMap(findProblem), ...problems, ...missing],
    [
      readChosenEnv(args, process.env).then((env) =>
        openCopier(env, display, { shared: switches.has('shared') }),
      ),
    ],
  );
  const signal = createInterruptSignal(copier.stop);
  const isComplete = await copyImages({
    images,
    policy: copier.policy,
    ensureBackup: copier.ensureBackup,
    maxConcurrent: copier.config.maxClones,
    dryRun: switches.has('dry-run'),
    print: display.print,
    signal,
  });
  if (!signal.aborted) await copier.finish();
  return isComplete;
}

async function readImages(positionals: readonly string[]): Promise<readonly string[]> {
  const images = await Promise.all(
    positionals.map(async (image) =>
      image === '-' ? parseImageList(await text(process.stdin)) : [image],
    ),
  );
  return [...new Set(images.flat())];
}

function findProblem(image: string): readonly string[] {
  try {
    parseReference(image);
    return [];
  } catch (error) {
    if (error instanceof CloneError) return [error.message];
    throw error;
  }
}

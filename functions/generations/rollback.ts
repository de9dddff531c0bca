import { type RollbackContext, release, rollBack } from '../../lib/generations/index.ts';
import { formatReference } from '../../lib/image/reference.ts';
import { type Backup, toBackupTag } from './backup.ts';

/** Moves a tag back to a generation and holds it there, or releases it. */
export async function runRollback(
  backup: Backup,
  image: string,
  to: { readonly digest: string } | 'release',
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const target = toBackupTag(image, backup.location);
  const context: RollbackContext = {
    repository: await backup.registry.repository(target, signal),
    backup: target,
    adoptExisting: backup.config.adoptExisting,
    now: Date.now,
    signal,
  };
  const name = formatReference(target);
  if (to === 'release') {
    const held = await release(context);
    print(
      held === undefined
        ? `${name} was not held`
        : `${name} is no longer held at ${held}: it follows its source from the next review on`,
    );
    return true;
  }
  const { digest, from } = await rollBack(context, to.digest);
  print(
    from === digest
      ? `${name} is already at ${digest}`
      : `${name} is at ${digest} now${from === undefined ? '' : ` and no longer at ${from}`}`,
  );
  print(`the tag is held there: reviews do not move it until "just rollback ${image} --release"`);
  if (from !== digest && !backup.config.pinDigests) {
    print(
      'nodes that pulled the tag before may keep running the image they have (imagePullPolicy: IfNotPresent)',
    );
  }
  return true;
}

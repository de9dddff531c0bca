import type { Aftermath } from '../aftermath.ts';
import type { Verdict } from '../answer.ts';
import type { Published } from '../catalogue.ts';
import type { Ledger } from '../ledger.ts';
import { hasSecret, tenants } from '../tenants.ts';
import { toPod, type Write } from '../workload.ts';
import { auditAdmitted } from './admitted.ts';
import { isClosedTo, type Opened } from './opened.ts';
import { denial, isPending, readObstacles } from './refused.ts';

/** Of whatever a write was answered: a private image is for those only whose own pull secret opens it. */
export function auditClosed(write: Write, { allowed, message }: Verdict, ledger: Ledger): void {
  const closed = write.wishes.filter((wish) => isClosedTo(write.namespace, wish));
  if (closed.length === 0) return;
  const images = closed.map(({ image }) => image).join(', ');
  ledger.check(
    'a namespace without the secret is never admitted to a private image',
    !allowed,
    () => `write ${write.nth} of ${write.namespace}: ${images}`,
  );
  const told = readObstacles(write, message).filter(
    ({ why, wishes }) => tellsOfCopy(why) && wishes.some((wish) => closed.includes(wish)),
  );
  ledger.check(
    'a namespace without the secret is not told how far a private copy is',
    told.length === 0,
    () => `write ${write.nth} of ${write.namespace}: ${told.map(({ text }) => text).join('; ')}`,
  );
}

/** Who hung up, and a controller that is answered before anything is known, are told of no copy. */
function tellsOfCopy(why: string): boolean {
  return (
    isPending(why) &&
    !/the caller closed the connection before the answer$|^still copying \S+$/.test(why)
  );
}

/**
 * Of everything private when all is calm: by tag, and by all digests that the tag ever held. At last all of it goes from its
 * source, so that nothing but the backup can say who may have it.
 */
export async function auditPrivate(opened: Opened, after: Aftermath): Promise<void> {
  const closed = after.catalogue.all.filter(({ role }) => role === 'safe');
  const holders = tenants.map(({ name }) => name).filter(hasSecret);
  await Promise.all(closed.map((published) => keepOut(published, after)));
  await Promise.all(
    closed.map(async (published) => {
      const { isThere, repository } = published;
      // What was there a moment ago both have opened.
      const entitled = isThere
        ? holders
        : holders.filter((name) => opened.had(name, published, Date.now()));
      after.taps.safe.forget(repository);
      published.isThere = false;
      for (const namespace of entitled) await serve(published, namespace, after);
      await keepOut(published, after);
    }),
  );
}

async function keepOut(published: Published, { client, taps, ledger }: Aftermath): Promise<void> {
  const { repository, tag, history } = published;
  const name = `${taps.safe.host}/${repository}`;
  const outsiders = tenants.map((tenant) => tenant.name).filter((tenant) => !hasSecret(tenant));
  for (const namespace of [...outsiders, 'nowhere']) {
    for (const image of [`${name}:${tag}`, ...history.map((digest) => `${name}@${digest}`)]) {
      const write = toPod(image, published, namespace);
      const { verdict } = await client.write(write);
      ledger.check(
        'who is kept out is told that he may not read it, or that it is gone',
        denial.test(verdict.message) ||
          (!published.isThere && /does not exist on/.test(verdict.message)),
        () => `${namespace}, ${image}: ${verdict.message}`,
      );
    }
  }
}

/** The point of a backup, also for what is private. */
async function serve(
  published: Published,
  namespace: string,
  { client, taps, witness, ledger }: Aftermath,
): Promise<void> {
  const { repository, tag } = published;
  const write = toPod(`${taps.safe.host}/${repository}:${tag}`, published, namespace);
  const { status, verdict } = await client.write(write);
  ledger.check(
    'a namespace that has opened a private image has it when its source is gone',
    status === 'admitted' && verdict.warnings.some((line) => /using the backup/.test(line)),
    () => `${namespace}, ${repository}:${tag}: ${verdict.message} ${verdict.warnings.join(', ')}`,
  );
  if (status !== 'admitted') return;
  await auditAdmitted(write, verdict, { backup: taps.backup.host, witness, ledger });
}

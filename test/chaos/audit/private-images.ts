import type { Aftermath } from '../aftermath.ts';
import type { Verdict } from '../answer.ts';
import type { Published } from '../catalogue.ts';
import type { Ledger } from '../ledger.ts';
import { hasSecret, testNamespaces } from '../servers/namespaces.ts';
import { toPod, type Write } from '../workload.ts';
import { auditAdmitted } from './admitted.ts';
import { isForbiddenTo, type PrivateAccess } from './private-access.ts';
import { denial, isPending, readReasons } from './refused.ts';

/** Audits any response: only a namespace whose own pull secret opens a private image gets it. */
export function auditPrivateWrite(
  write: Write,
  { allowed, message }: Verdict,
  ledger: Ledger,
): void {
  const closed = write.requestedImages.filter((requested) =>
    isForbiddenTo(write.namespace, requested),
  );
  if (closed.length === 0) return;
  const images = closed.map(({ image }) => image).join(', ');
  ledger.check(
    'a namespace without the secret is never admitted to a private image',
    !allowed,
    () => `write ${write.nth} of ${write.namespace}: ${images}`,
  );
  const revealing = readReasons(write, message).filter(
    ({ why, requestedImages }) =>
      reportsCopy(why) && requestedImages.some((requested) => closed.includes(requested)),
  );
  ledger.check(
    'a namespace without the secret gets no progress of a private copy',
    revealing.length === 0,
    () =>
      `write ${write.nth} of ${write.namespace}: ${revealing.map(({ text }) => text).join('; ')}`,
  );
}

/** A hang-up or an early answer to a controller reveals nothing about a copy. */
function reportsCopy(why: string): boolean {
  return (
    isPending(why) &&
    !/the caller closed the connection before the answer$|^still copying \S+$/.test(why)
  );
}

/**
 * Audits every private image after the faults end, by tag and by each digest of its history. Then it removes the images from the
 * source, so that only the backup knows which namespaces may use them.
 */
export async function auditPrivateImages(
  privateAccess: PrivateAccess,
  after: Aftermath,
): Promise<void> {
  const closed = after.catalogue.all.filter(({ role }) => role === 'safe');
  const holders = testNamespaces.map(({ name }) => name).filter(hasSecret);
  await Promise.all(closed.map((published) => auditDenied(published, after)));
  await Promise.all(
    closed.map(async (published) => {
      const { isThere, repository } = published;
      // While the source has it, every namespace with the secret opens it.
      const entitled = isThere
        ? holders
        : holders.filter((name) => privateAccess.had(name, published, Date.now()));
      after.proxies.safe.forget(repository);
      published.isThere = false;
      for (const namespace of entitled) await auditServed(published, namespace, after);
      await auditDenied(published, after);
    }),
  );
}

async function auditDenied(
  published: Published,
  { client, proxies, ledger }: Aftermath,
): Promise<void> {
  const { repository, tag, history } = published;
  const name = `${proxies.safe.host}/${repository}`;
  const outsiders = testNamespaces
    .map((testNamespace) => testNamespace.name)
    .filter((testNamespace) => !hasSecret(testNamespace));
  for (const namespace of [...outsiders, 'nowhere']) {
    for (const image of [`${name}:${tag}`, ...history.map((digest) => `${name}@${digest}`)]) {
      const write = toPod(image, published, namespace);
      const { verdict } = await client.write(write);
      ledger.check(
        'a namespace without the secret gets the answer that a private image is denied or gone',
        denial.test(verdict.message) ||
          (!published.isThere && /does not exist on/.test(verdict.message)),
        () => `${namespace}, ${image}: ${verdict.message}`,
      );
    }
  }
}

/** Audits that the backup serves a private image after its source is gone. */
async function auditServed(
  published: Published,
  namespace: string,
  { client, proxies, registryReader, ledger }: Aftermath,
): Promise<void> {
  const { repository, tag } = published;
  const write = toPod(`${proxies.safe.host}/${repository}:${tag}`, published, namespace);
  const { status, verdict } = await client.write(write);
  ledger.check(
    'a namespace that opened a private image gets it from the backup when its source is gone',
    status === 'admitted' && verdict.warnings.some((line) => /using the backup/.test(line)),
    () => `${namespace}, ${repository}:${tag}: ${verdict.message} ${verdict.warnings.join(', ')}`,
  );
  if (status !== 'admitted') return;
  await auditAdmitted(write, verdict, { backup: proxies.backup.host, registryReader, ledger });
}

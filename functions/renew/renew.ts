import { readServedCertificate } from '../../lib/adapters/served-certificate.ts';
import { renew as takeSteps } from '../../lib/install/renewal/index.ts';
import { parseSettings, toServiceHosts } from '../../lib/install/settings.ts';
import type { ServedCertificate, ServiceName } from '../../lib/ports/index.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { createInterruptSignal, print } from '../shared/run-command.ts';
import { type Env, isInsideCluster } from '../shared/settings/environment.ts';

interface RenewOptions {
  readonly env: Env;
  /** Problems of the command line. */
  readonly problems: readonly string[];
  readonly now: () => Date;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A gateway has several pods, and each connection may reach another one. */
const gatewayHandshakes = 10;

export async function renew({ problems }: Arguments): Promise<boolean> {
  const signal = createInterruptSignal();
  await renewInstallation({
    env: process.env,
    problems,
    now: () => new Date(),
    print,
    signal,
  });
  return true;
}

/** Takes the steps of a renewal that are due now, and prints what the next one waits for. */
export async function renewInstallation(options: RenewOptions): Promise<void> {
  const { env, now, print, signal } = options;
  const [{ name, namespace }] = await allOrProblems(options.problems, [
    attempt(() => parseSettings(env)),
  ]);
  // Loading the SDK takes half a second, which a wrong command line does not wait for.
  const { openCertificateAccess } = await import('../../lib/adapters/kubernetes/index.ts');
  const { store, listEndpoints, context } = openCertificateAccess({
    kubeconfig: env['KUBECONFIG'],
    insideCluster: isInsideCluster(env),
    namespace,
    secretName: `${name}-tls`,
    configurationName: name,
  });
  print(`context ${context}, installation ${namespace}/${name}`);

  const readServed = async (
    service: ServiceName,
    signal: AbortSignal,
  ): Promise<readonly ServedCertificate[]> => {
    const [serverName] = toServiceHosts(service);
    // A Service in the namespace of the installation has the pods behind it; that of a gateway is in the gateway's namespace.
    const servers =
      service.namespace === namespace
        ? await listEndpoints(service, signal)
        : Array.from({ length: gatewayHandshakes }, () => ({ address: serverName, port: 443 }));
    return await Promise.all(
      servers.map(({ address, port }) =>
        readServedCertificate({ host: address, port, serverName }, signal),
      ),
    );
  };
  const install = { name, namespace };
  const { text } = await takeSteps({ store, readServed, install, now, print }, signal);
  print(text);
}

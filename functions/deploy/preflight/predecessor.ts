import * as v from 'valibot';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { find } from '../kubectl.ts';

const deploymentList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({
        namespace: v.string(),
        ownerReferences: v.optional(v.array(v.object({ kind: v.string() })), []),
      }),
    }),
  ),
});
const configurationList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({ name: v.string() }),
      webhooks: v.optional(
        v.array(
          v.object({
            clientConfig: v.object({
              service: v.optional(
                v.object({
                  name: v.string(),
                  namespace: v.string(),
                  path: v.optional(v.string(), ''),
                }),
              ),
            }),
          }),
        ),
        [],
      ),
    }),
  ),
});

/** An image-cloner that is there already, the Go original of 2021 for one: what becomes of it, for a person. */
export async function findPredecessors(install: InstallSettings): Promise<readonly string[]> {
  const found = await Promise.all([findDeployments(install), otherWebhooks(install)]);
  return found.flat();
}

/** A Deployment of our name that is not made by Knative: the Go original of 2021. */
async function findDeployments({ name }: InstallSettings): Promise<readonly string[]> {
  const found = await find(
    'deployments',
    '--all-namespaces',
    `--field-selector=metadata.name=${name}`,
  );
  return v
    .parse(deploymentList, found)
    .items.filter(({ metadata }) => metadata.ownerReferences.length === 0)
    .map(
      ({ metadata: { namespace } }) =>
        `the image-cloner of before runs in ${namespace}. Its namespace label, its Secret registry-auth and the names of most copies go on working; copies of images with a path (bitnami/nginx) get names of their own, and what it copied is taken over with ADOPT_EXISTING=true. When this deploy is through: kubectl -n ${namespace} delete deployment,service ${name}`,
    );
}

/** Two of them would both rewrite the same workloads. */
async function otherWebhooks({ name, service }: InstallSettings): Promise<readonly string[]> {
  const found = await find('mutatingwebhookconfigurations');
  return v
    .parse(configurationList, found)
    .items.filter(({ metadata }) => metadata.name !== name && metadata.name !== `${name}-probe`)
    .filter(({ webhooks }) =>
      webhooks.some(
        ({ clientConfig: { service: called } }) =>
          called?.path === '/clone-image' &&
          (called.name !== service.name || called.namespace !== service.namespace),
      ),
    )
    .map(
      ({ metadata }) =>
        `the webhook configuration ${metadata.name} calls another image-cloner, and workloads would pass both: when this deploy is through, kubectl delete mutatingwebhookconfiguration ${metadata.name}`,
    );
}

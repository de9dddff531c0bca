import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { type Document, parse, parseAllDocuments } from 'yaml';
import { applyPatches } from '../../functions/deploy/manifests/index.ts';
import { createApp } from '../../functions/webhook/app.ts';
import { parseConfig } from '../../lib/config/config.ts';
import { configVariables } from '../../lib/config/variables.ts';
import { excludedNamespaces } from '../../lib/install/excluded-namespaces.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { toTlsSecret } from '../../lib/install/tls-secret.ts';
import { toWebhookConfiguration } from '../../lib/install/webhook-configuration.ts';
import { createMemoryLog } from '../support/memory-log.ts';

const variants = ['docker', 'registry'] as const;
const gateways = ['kourier', 'contour', 'istio'] as const;
/** The overlays of knative/, each with a complete Knative Service. */
const overlays = variants.flatMap((variant) => [
  { overlay: variant, variant, isDirect: false },
  { overlay: `direct/${variant}`, variant, isDirect: true },
]);
const tlsEnv = [
  { name: 'TLS_PRIVATE_KEY_FILE', value: '/tls/tls.key' },
  { name: 'TLS_PORT', value: '8443' },
];

const probeSchema = v.object({ httpGet: v.strictObject({ path: v.string() }) });
const serviceSchema = v.object({
  metadata: v.object({ name: v.string(), namespace: v.string() }),
  spec: v.object({
    template: v.object({
      metadata: v.object({
        labels: v.record(v.string(), v.string()),
        annotations: v.record(v.string(), v.string()),
      }),
      spec: v.object({
        serviceAccountName: v.string(),
        timeoutSeconds: v.number(),
        responseStartTimeoutSeconds: v.number(),
        containers: v.strictTuple([
          v.object({
            ports: v.strictTuple([v.object({ name: v.string(), containerPort: v.number() })]),
            env: v.array(v.object({ name: v.string(), value: v.string() })),
            readinessProbe: v.strictObject(probeSchema.entries),
            livenessProbe: probeSchema,
            securityContext: v.object({
              runAsUser: v.number(),
              runAsGroup: v.number(),
              runAsNonRoot: v.boolean(),
              allowPrivilegeEscalation: v.literal(false),
              readOnlyRootFilesystem: v.literal(true),
              capabilities: v.strictObject({ drop: v.tuple([v.literal('ALL')]) }),
              seccompProfile: v.strictObject({ type: v.literal('RuntimeDefault') }),
            }),
            volumeMounts: v.array(
              v.object({ name: v.string(), mountPath: v.string(), readOnly: v.literal(true) }),
            ),
          }),
        ]),
        volumes: v.array(
          v.object({
            name: v.string(),
            secret: v.optional(
              v.object({
                secretName: v.string(),
                items: v.optional(v.array(v.object({ key: v.string() }))),
              }),
            ),
            hostPath: v.optional(v.object({ path: v.string(), type: v.literal('Socket') })),
          }),
        ),
      }),
    }),
  }),
});
type Service = v.InferOutput<typeof serviceSchema>;

const callersSchema = v.object({
  spec: v.object({
    ingress: v.tuple([
      v.object({
        from: v.tuple([
          v.object({
            namespaceSelector: v.object({
              matchExpressions: v.tuple([v.object({ values: v.array(v.string()) })]),
            }),
          }),
        ]),
      }),
    ]),
  }),
});

/** Reserved by Knative. */
const reservedEnv = ['PORT', 'K_SERVICE', 'K_REVISION', 'K_CONFIGURATION'];
const reservedPorts = [8008, 8012, 8013, 8022, 9090, 9091];
/** Knative before 1.13 reserves the last three. */
const reservedMounts = ['/', '/dev', '/dev/log', '/tmp', '/var', '/var/log'];
/** Knative waits this long for requests before SIGTERM, which is part of the grace period. */
const beforeTermMs = 30_000;

const settings = parseSettings({});
const webhook = toWebhookConfiguration(settings, 'CA').webhooks[0];

async function readText(...path: readonly string[]): Promise<string> {
  return await readFile(join('knative', ...path), 'utf8');
}

/** The same as `kubectl kustomize knative/OVERLAY`; test/real/knative compares both. */
async function readService(overlay: string): Promise<Service> {
  const files = [
    [overlay.replace('direct/', ''), 'patch.yaml'],
    ...(overlay.startsWith('direct/') ? [['direct', 'component', 'patch.yaml']] : []),
  ];
  const patches = await Promise.all(files.map((path) => readText(...path)));
  return v.parse(
    serviceSchema,
    parse(applyPatches(await readText('base', 'service.yaml'), patches)),
  );
}

async function readContainer(
  overlay: string,
): Promise<Service['spec']['template']['spec']['containers'][0]> {
  return (await readService(overlay)).spec.template.spec.containers[0];
}

async function readAll(...path: readonly string[]): Promise<readonly Document[]> {
  return parseAllDocuments(await readText(...path));
}

function ofKind(objects: readonly Document[], kind: string): Document {
  const found = objects.find((object) => object.get('kind') === kind);
  assert.ok(found, `a ${kind}`);
  return found;
}

for (const { overlay, variant, isDirect } of overlays) {
  describe(`knative/${overlay}`, () => {
    it('the Knative Service declares the port of the webhook, which Knative does not reserve', async () => {
      const { ports } = await readContainer(overlay);

      assert.equal(ports[0].containerPort, parseConfig({}).port);
      assert.equal(reservedPorts.includes(ports[0].containerPort), false);
      // `h2c` would make Knative use HTTP/2.
      assert.equal(ports[0].name, 'http1');
    });

    it('the Knative Service probes paths that the webhook serves', async () => {
      const { readinessProbe, livenessProbe } = await readContainer(overlay);
      const { logger } = createMemoryLog();
      const review = (): never => assert.fail('not called');
      const metrics = { render: async () => '', contentType: 'text/plain' };
      const { routes } = createApp({ review, isReady: () => true, metrics, logger });
      const gets = routes.filter(({ method }) => method === 'GET').map(({ path }) => path);

      for (const { httpGet } of [readinessProbe, livenessProbe]) {
        assert.ok(gets.includes(httpGet.path), httpGet.path);
      }
    });

    it('the Knative Service sets a grace period that covers running copies', async () => {
      const { timeoutSeconds, responseStartTimeoutSeconds } = (await readService(overlay)).spec
        .template.spec;
      const main = await readFile('functions/webhook/serve.ts', 'utf8');
      const drainMs = Number(/drainMs = ([\d_]+)/.exec(main)?.[1]?.replaceAll('_', ''));

      assert.ok(timeoutSeconds <= 600, 'Knative allows no more');
      assert.ok(responseStartTimeoutSeconds <= timeoutSeconds);
      assert.ok(drainMs <= timeoutSeconds * 1_000 - beforeTermMs, `${drainMs} ms of draining`);
    });

    it('the Knative Service sets only variables that the webhook reads and Knative does not reserve', async () => {
      const { env } = await readContainer(overlay);
      const known = configVariables.map(({ name }) => name);

      assert.deepEqual(env, [
        { name: isDirect ? 'TLS_CERT_FILE' : 'GATEWAY_CERT_FILE', value: '/tls/tls.crt' },
        { name: 'CLONER', value: variant },
        ...(isDirect ? tlsEnv : []),
      ]);
      for (const { name } of env) {
        assert.ok(known.includes(name), name);
        assert.equal(reservedEnv.includes(name), false, name);
      }
    });

    it('the Knative Service mounts every volume once, read-only, at a path that Knative allows', async () => {
      const { volumes } = (await readService(overlay)).spec.template.spec;
      const { volumeMounts } = await readContainer(overlay);

      assert.deepEqual(
        volumeMounts.map(({ name }) => name).toSorted(),
        volumes.map(({ name }) => name).toSorted(),
      );
      for (const { mountPath } of volumeMounts) {
        assert.equal(reservedMounts.includes(mountPath), false, mountPath);
      }
      const auth = volumes.find(({ secret }) => secret?.secretName === 'registry-auth');
      const mount = volumeMounts.find(({ name }) => name === auth?.name);
      assert.equal(mount?.mountPath, parseConfig({}).registryAuthDir);
      const files = volumes.find(({ secret }) => secret?.secretName === 'image-cloner-files');
      assert.equal(volumeMounts.find(({ name }) => name === files?.name)?.mountPath, '/files');
    });

    it(`the Knative Service mounts the certificate ${isDirect ? 'and its key' : 'of the gateway without its key'}`, async () => {
      const { volumes } = (await readService(overlay)).spec.template.spec;
      const keys = volumes
        .filter(({ name }) => name === 'tls')
        .map(({ secret }) => secret?.items?.map(({ key }) => key));

      assert.deepEqual(keys, [isDirect ? ['tls.crt', 'tls.key'] : ['tls.crt']]);
    });

    it('the Knative Service is excluded from the webhook by its namespace and by its label', async () => {
      const { metadata, spec } = await readService(overlay);
      const [byName] = webhook.namespaceSelector.matchExpressions;
      const [byLabel] = webhook.objectSelector.matchExpressions;

      assert.ok(byName?.values.includes(metadata.namespace));
      assert.ok(byLabel?.values.includes(spec.template.metadata.labels[byLabel.key] ?? ''));
    });

    it('the Knative Service has the default name and namespace of gen', async () => {
      const { metadata, spec } = await readService(overlay);
      const objects = await readAll('namespace.yaml');
      const account = ofKind(objects, 'ServiceAccount');

      assert.equal(metadata.name, settings.name);
      assert.equal(metadata.namespace, settings.namespace);
      assert.equal(ofKind(objects, 'Namespace').getIn(['metadata', 'name']), settings.namespace);
      assert.equal(account.getIn(['metadata', 'name']), spec.template.spec.serviceAccountName);
      assert.equal(account.getIn(['metadata', 'namespace']), settings.namespace);
    });

    it('the Knative Service keeps at least one pod and scales up with the number of reviews', async () => {
      const { annotations } = (await readService(overlay)).spec.template.metadata;

      assert.equal(annotations['autoscaling.knative.dev/min-scale'], '2');
      assert.equal(annotations['autoscaling.knative.dev/max-scale'], '3');
    });
  });
}

describe('knative/registry', () => {
  it('the pod with CLONER=registry has no privileges and no host path, and runs as the user of the image', async () => {
    const { securityContext } = await readContainer('registry');
    const { volumes } = (await readService('registry')).spec.template.spec;
    const dockerfile = await readFile('Dockerfile', 'utf8');

    assert.equal(securityContext.runAsNonRoot, true);
    assert.ok(volumes.every(({ hostPath }) => hostPath === undefined));
    const { runAsUser, runAsGroup } = securityContext;
    assert.match(dockerfile, new RegExp(`^USER ${runAsUser}:${runAsGroup}$`, 'm'));
  });
});

describe('knative/docker', () => {
  it('the pod with CLONER=docker mounts the docker socket at the default DOCKER_HOST', async () => {
    const { volumes } = (await readService('docker')).spec.template.spec;
    const { volumeMounts } = await readContainer('docker');
    const socket = volumes.find(({ hostPath }) => hostPath !== undefined);
    const mount = volumeMounts.find(({ name }) => name === socket?.name);

    assert.equal(`unix://${mount?.mountPath}`, parseConfig({}).dockerHost);
  });
});

for (const gateway of gateways) {
  describe(`knative/gateway/${gateway}.yaml`, () => {
    it('the gateway manifest uses one host name for Service, certificate and webhook configuration', async () => {
      const objects = await readAll('gateway', `${gateway}.yaml`);
      const service = ofKind(objects, 'Service');
      const mapping = ofKind(objects, 'DomainMapping');
      const claim = ofKind(objects, 'ClusterDomainClaim');
      const namespace = String(service.getIn(['metadata', 'namespace']));
      const made = parseSettings({ SERVICE_NAMESPACE: namespace });
      const { clientConfig, namespaceSelector } = toWebhookConfiguration(made, 'CA').webhooks[0];
      const name = `${String(service.getIn(['metadata', 'name']))}.${namespace}.svc`;

      assert.equal(mapping.getIn(['metadata', 'name']), name);
      assert.equal(claim.getIn(['metadata', 'name']), name);
      assert.equal(made.hosts[0], name);
      assert.ok('service' in clientConfig);
      assert.deepEqual(clientConfig.service, {
        name: service.getIn(['metadata', 'name']),
        namespace,
        port: service.getIn(['spec', 'ports', 0, 'port']),
        path: '/clone-image',
      });
      assert.ok(namespaceSelector.matchExpressions[0]?.values.includes(namespace));
    });

    it('the gateway manifest maps the host name to the Knative Service with the TLS Secret of gen', async () => {
      const objects = await readAll('gateway', `${gateway}.yaml`);
      const mapping = ofKind(objects, 'DomainMapping');
      const { metadata } = toTlsSecret(settings, { certificate: '', key: '', ca: '' });

      assert.equal(mapping.getIn(['spec', 'ref', 'name']), settings.name);
      assert.equal(mapping.getIn(['spec', 'tls', 'secretName']), metadata.name);
      assert.equal(mapping.getIn(['metadata', 'namespace']), metadata.namespace);
      const claim = ofKind(objects, 'ClusterDomainClaim');
      assert.equal(claim.getIn(['spec', 'namespace']), metadata.namespace);
    });

    it('the gateway manifest has a Service that the API server can dial and Knative does not delete', async () => {
      const service = ofKind(await readAll('gateway', `${gateway}.yaml`), 'Service');

      assert.equal(service.hasIn(['spec', 'type']), false);
      assert.equal(service.hasIn(['spec', 'clusterIP']), false);
      assert.equal(service.hasIn(['metadata', 'labels']), false);
    });

    it('the gateway manifest uses the default SERVICE_NAMESPACE of gen', async () => {
      const service = ofKind(await readAll('gateway', `${gateway}.yaml`), 'Service');
      const made = parseSettings({ GATEWAY: gateway });

      assert.equal(service.getIn(['metadata', 'namespace']), made.service.namespace);
    });
  });
}

describe('knative/direct', () => {
  const direct = parseSettings({ WIRING: 'direct' });

  it('WIRING=direct has its own Service, with the host name of certificate and webhook configuration', async () => {
    const service = ofKind(await readAll('direct', 'service.yaml'), 'Service');
    const { clientConfig } = toWebhookConfiguration(direct, 'CA').webhooks[0];

    assert.ok('service' in clientConfig);
    assert.deepEqual(clientConfig.service, {
      name: service.getIn(['metadata', 'name']),
      namespace: service.getIn(['metadata', 'namespace']),
      port: service.getIn(['spec', 'ports', 0, 'port']),
      path: '/clone-image',
    });
    assert.equal(direct.hosts[0], 'image-cloner-webhook.image-cloner.svc');
    assert.notEqual(service.getIn(['metadata', 'name']), direct.name);
    assert.equal(service.hasIn(['metadata', 'labels']), false);
  });

  it('the Service of WIRING=direct targets the TLS port of the pods, and its NetworkPolicy opens that port', async () => {
    const objects = await readAll('direct', 'service.yaml');
    const service = ofKind(objects, 'Service');
    const policy: unknown = ofKind(objects, 'NetworkPolicy').toJS();
    const { env, ports } = await readContainer('direct/registry');
    const port = Number(env.find(({ name }) => name === 'TLS_PORT')?.value);

    assert.equal(service.getIn(['spec', 'ports', 0, 'targetPort']), port);
    assert.deepEqual(service.toJS(), {
      ...Object(service.toJS()),
      spec: {
        selector: {
          'serving.knative.dev/service': direct.name,
          'image-cloner/wiring': 'direct',
        },
        ports: [{ name: 'https', port: 443, targetPort: 8443 }],
      },
    });
    assert.partialDeepStrictEqual(policy, { spec: { ingress: [{ ports: [{ port }] }] } });
    assert.notEqual(port, ports[0].containerPort);
    assert.equal(reservedPorts.includes(port), false);
  });

  it('the pod with WIRING=direct mounts the TLS Secret of gen at the path that the webhook reads', async () => {
    const { volumes } = (await readService('direct/registry')).spec.template.spec;
    const { volumeMounts } = await readContainer('direct/registry');
    const { metadata } = toTlsSecret(direct, { certificate: '', key: '', ca: '' });
    const volume = volumes.find(({ secret }) => secret?.secretName === metadata.name);

    const mount = volumeMounts.find(({ name }) => name === volume?.name);
    assert.equal(mount?.mountPath, '/tls');
  });
});

describe('knative/rbac.yaml', () => {
  it('rbac.yaml grants only Leases in the namespace of the webhook', async () => {
    const objects = await readAll('rbac.yaml');

    assert.deepEqual(
      objects.map((object) => object.get('kind')),
      ['Role', 'RoleBinding'],
    );
    const role: unknown = ofKind(objects, 'Role').toJS();
    assert.deepEqual(v.parse(v.object({ rules: v.array(v.unknown()) }), role).rules, [
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        verbs: ['list', 'create', 'update', 'delete'],
      },
    ]);
  });
});

describe('excludedNamespaces', () => {
  it('the excluded namespaces contain every namespace that the webhook depends on', async () => {
    const policy: unknown = ofKind(await readAll('network-policy.yaml'), 'NetworkPolicy').toJS();
    const { values } = v.parse(callersSchema, policy).spec.ingress[0].from[0].namespaceSelector
      .matchExpressions[0];

    for (const namespace of values) assert.ok(excludedNamespaces.includes(namespace), namespace);
    assert.ok(excludedNamespaces.includes('kube-system'));
  });

  it('the excluded namespaces are those that the admission handler uses', async () => {
    const source = await readFile('functions/shared/adapters/open-adapters.ts', 'utf8');

    assert.match(source, /excludedNamespaces: \[\n\s+\.\.\.excludedNamespaces,/);
  });
});

describe('Dockerfile', () => {
  it('the container image starts the bundled webhook on the port of the manifests', async () => {
    const dockerfile = await readFile('Dockerfile', 'utf8');
    const { ports } = await readContainer('registry');

    const ignored = await readFile('.dockerignore', 'utf8');
    assert.deepEqual(
      ignored.split('\n').filter((line) => line !== '' && !line.startsWith('#')),
      ['*', '!dist'],
    );
    assert.match(dockerfile, /^COPY \. \/$/m);
    assert.match(dockerfile, /^ENTRYPOINT \["node", "\/dist\/image-cloner\.js"\]$/m);
    assert.match(dockerfile, new RegExp(`^EXPOSE ${ports[0].containerPort}$`, 'm'));
  });
});

describe('knative/gateway', () => {
  it('every gateway manifest has a test', async () => {
    const files = await readdir('knative/gateway');

    assert.deepEqual(files.toSorted(), gateways.map((name) => `${name}.yaml`).toSorted());
  });
});

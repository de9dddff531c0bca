import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfig } from '../../lib/config/config.ts';
import { settingVariables } from '../../lib/install/setting-variables.ts';
import { type InstallSettings, parseSettings } from '../../lib/install/settings.ts';

const defaults: InstallSettings = {
  name: 'image-cloner',
  namespace: 'image-cloner',
  serving: 'knative',
  minScale: 2,
  wiring: 'gateway',
  gateway: 'kourier',
  service: { name: 'image-cloner', namespace: 'kourier-system' },
  path: '/clone-image',
  workloads: ['deployments', 'daemonsets', 'statefulsets', 'cronjobs', 'jobs'],
  failurePolicy: 'Fail',
  labelValue: 'image-cloner',
  timeoutSeconds: 10,
  certificates: 'renew',
  hosts: ['image-cloner.kourier-system.svc', 'image-cloner.kourier-system.svc.cluster.local'],
  cloudIdentities: [],
  outDir: 'certs',
  keepCaKey: false,
};

describe('parseSettings', () => {
  it('returns the default settings of an installation for an empty environment', () => {
    assert.deepEqual(parseSettings({}), defaults);
  });

  it('counts an empty variable of an installation as not set', () => {
    assert.deepEqual(parseSettings({ NAME: '', WORKLOADS: ' ', WEBHOOK_URL: '' }), defaults);
  });

  it('reads every variable of an installation', () => {
    const settings = parseSettings({
      NAME: 'copier',
      NAMESPACE: 'tools',
      SERVICE_NAME: 'copier-webhook',
      GATEWAY: 'istio',
      SERVICE_NAMESPACE: 'istio-gateways',
      WEBHOOK_PATH: '/hooks/clone',
      WORKLOADS: ' pods, services.serving.knative.dev\njobs',
      FAILURE_POLICY: 'Ignore',
      LABEL_VALUE: 'enabled',
      CERTIFICATES: 'files',
      TIMEOUT_SECONDS: '15',
      REGISTRY: 'registry.tools.svc:5000/mirror/',
      REGISTRY_NAMESPACE: 'acme',
      CLOUD_IDENTITY: 'pod-identity, gke',
      OUT_DIR: '/tmp/out',
      KEEP_CA_KEY: 'true',
    });

    assert.deepEqual(settings, {
      name: 'copier',
      namespace: 'tools',
      serving: 'knative',
      minScale: 2,
      wiring: 'gateway',
      gateway: 'istio',
      service: { name: 'copier-webhook', namespace: 'istio-gateways' },
      path: '/hooks/clone',
      workloads: ['pods', 'services.serving.knative.dev', 'jobs'],
      failurePolicy: 'Ignore',
      labelValue: 'enabled',
      timeoutSeconds: 15,
      certificates: 'files',
      backup: { domain: 'registry.tools.svc:5000', namespace: 'mirror/acme' },
      registryNamespace: 'tools',
      hosts: [
        'copier-webhook.istio-gateways.svc',
        'copier-webhook.istio-gateways.svc.cluster.local',
      ],
      cloudIdentities: [
        { kind: 'pod-identity', clouds: ['ecr'] },
        { kind: 'gke', clouds: ['gar'] },
      ],
      outDir: '/tmp/out',
      keepCaKey: true,
    });
  });

  const gateways = [
    { GATEWAY: 'kourier', namespace: 'kourier-system' },
    { GATEWAY: 'contour', namespace: 'contour-external' },
    { GATEWAY: 'istio', namespace: 'istio-system' },
  ];
  for (const { GATEWAY, namespace } of gateways) {
    it(`places the Service in ${namespace} for the gateway ${GATEWAY}`, () => {
      assert.equal(parseSettings({ GATEWAY }).service.namespace, namespace);
    });
  }

  it('names the Service NAME-webhook and places it beside the pods with WIRING=direct', () => {
    const { service, hosts } = parseSettings({
      WIRING: 'direct',
      NAME: 'copier',
      NAMESPACE: 'tools',
    });

    assert.deepEqual(service, { name: 'copier-webhook', namespace: 'tools' });
    assert.equal(hosts[0], 'copier-webhook.tools.svc');
  });

  it('refuses a Service in another namespace or of the name NAME with WIRING=direct', () => {
    assert.throws(
      () =>
        parseSettings({ WIRING: 'direct', SERVICE_NAMESPACE: 'x', SERVICE_NAME: 'image-cloner' }),
      {
        problems: [
          'SERVICE_NAMESPACE must be image-cloner or not be set with WIRING=direct: a Service selects pods of its own namespace only',
          'SERVICE_NAME must not be image-cloner with WIRING=direct: Knative creates a Service of that name',
        ],
      },
    );
  });

  it('names the Service after the installation with the gateway wiring', () => {
    assert.deepEqual(parseSettings({ NAME: 'copier' }).service, {
      name: 'copier',
      namespace: 'kourier-system',
    });
  });

  it('names no backup in the webhook configuration if REGISTRY_NAMESPACE is not set', () => {
    const { backup, registryNamespace } = parseSettings({ REGISTRY: 'registry.tools.svc:5000' });

    assert.equal(backup, undefined);
    assert.equal(registryNamespace, 'tools');
  });

  it('names a backup on Docker Hub if only REGISTRY_NAMESPACE is set', () => {
    assert.deepEqual(parseSettings({ REGISTRY_NAMESPACE: 'acme' }).backup, {
      domain: 'docker.io',
      namespace: 'acme',
    });
  });

  const urls = [
    { given: 'https://127.0.0.1:8443', url: 'https://127.0.0.1:8443', host: '127.0.0.1' },
    { given: 'https://[::1]:8443/', url: 'https://[::1]:8443', host: '::1' },
    {
      given: 'https://Hooks.Example.com:443',
      url: 'https://hooks.example.com',
      host: 'hooks.example.com',
    },
  ];
  for (const { given, url, host } of urls) {
    it(`certifies the host ${host} of WEBHOOK_URL=${given}`, () => {
      const settings = parseSettings({ WEBHOOK_URL: given });

      assert.equal(settings.url, url);
      assert.deepEqual(settings.hosts, [host]);
    });
  }

  const refusedUrls = [
    'http://127.0.0.1:8443',
    '127.0.0.1:8443',
    'https://',
    'https://me@host.example',
    'https://host.example/path',
    'https://host.example?x',
    'https://host.example/#x',
  ];
  for (const given of refusedUrls) {
    it(`refuses WEBHOOK_URL=${given}`, () => {
      assert.throws(() => parseSettings({ WEBHOOK_URL: given }), {
        name: 'ConfigError',
        problems: [
          'WEBHOOK_URL must be https://host:port without a path; WEBHOOK_PATH is appended',
        ],
      });
    });
  }

  const refusedPaths = ['clone-image', '/', '//x', '/x/', '/Clone', '/clone_image', '/x?y'];
  for (const given of refusedPaths) {
    it(`refuses WEBHOOK_PATH=${given}, which the API server does not accept`, () => {
      assert.throws(() => parseSettings({ WEBHOOK_PATH: given }), {
        name: 'ConfigError',
        problems: [
          'WEBHOOK_PATH must be a path such as /clone-image: a-z, 0-9, - and . between slashes',
        ],
      });
    });
  }

  const misspelt = [
    ['NAMEPSACE', 'NAMESPACE'],
    ['WORKLODAS', 'WORKLOADS'],
    ['WORKLOAD', 'WORKLOADS'],
    ['FAILURE_POLCY', 'FAILURE_POLICY'],
    ['TIMEOUT_SECNODS', 'TIMEOUT_SECONDS'],
    ['IMAGE_CLONER_WIRING', 'WIRING'],
    ['NAEM', 'NAME'],
    ['ON_ERORR', 'ON_ERROR'],
    ['REGISTRY_NAMESPCE', 'REGISTRY_NAMESPACE'],
    ['PORBE_IMAGE', 'PROBE_IMAGE'],
    ['IMGAE', 'IMAGE'],
  ] as const;
  for (const [name, nearest] of misspelt) {
    it(`refuses the misspelt variable ${name} and suggests ${nearest}`, () => {
      assert.throws(() => parseSettings({ [name]: 'x' }), {
        name: 'ConfigError',
        problems: [`${name} is not known; did you mean ${nearest}?`],
      });
    });
  }

  for (const name of ['LNAME', 'NAMES', 'IMAGES', 'OUTDIR', 'SERVICE_HOST', 'NODE_NAME', 'SHELL']) {
    it(`ignores the variable ${name} of another program`, () => {
      assert.deepEqual(parseSettings({ [name]: 'x' }), defaults);
    });
  }

  it('reads no installation variable that parseConfig refuses as misspelt', () => {
    const env = Object.fromEntries(settingVariables.map(({ name }) => [name, 'x']));

    assert.doesNotThrow(() => parseConfig(env));
  });

  it("lists all problems of the installation's variables at once", () => {
    const env = {
      NAME: '1st',
      NAMESPACE: 'Tools',
      SERVICE_NAME: 'a.b',
      SERVICE_NAMESPACE: '-x',
      WEBHOOK_URL: 'http://host',
      WEBHOOK_PATH: 'x',
      WORKLOADS: 'deployment',
      FAILURE_POLICY: 'fail',
      TIMEOUT_SECONDS: '31',
      KEEP_CA_KEY: 'yes',
      REGISTRY: 'https://registry.corp',
      REGISTRY_NAMESPACE: 'Acme',
    };

    assert.throws(() => parseSettings(env), {
      name: 'ConfigError',
      problems: [
        'NAME must be the name of a Service: a-z, 0-9 and -, a letter first, at most 63 characters',
        'NAMESPACE must be the name of a namespace: a-z, 0-9 and -, at most 63 characters',
        'SERVICE_NAME must be the name of a Service: a-z, 0-9 and -, a letter first, at most 63 characters',
        'SERVICE_NAMESPACE must be the name of a namespace: a-z, 0-9 and -, at most 63 characters',
        'WEBHOOK_URL must be https://host:port without a path; WEBHOOK_PATH is appended',
        'WEBHOOK_PATH must be a path such as /clone-image: a-z, 0-9, - and . between slashes',
        'WORKLOADS must list one or more of pods, podtemplates, replicationcontrollers, deployments, daemonsets, statefulsets, replicasets, cronjobs, jobs, services.serving.knative.dev, configurations.serving.knative.dev',
        'FAILURE_POLICY must be Fail or Ignore',
        'TIMEOUT_SECONDS must be a whole number from 1 to 30',
        'KEEP_CA_KEY must be true or false',
        'REGISTRY must be a host without a scheme, such as registry.example.com',
        'REGISTRY_NAMESPACE must be a lower-case repository path, such as backups, of at most 128 characters',
      ],
    });
  });

  it('lists a problem of REGISTRY when all other settings are valid', () => {
    assert.throws(() => parseSettings({ REGISTRY_NAMESPACE: 'Acme' }), {
      name: 'ConfigError',
      problems: [
        'REGISTRY_NAMESPACE must be a lower-case repository path, such as backups, of at most 128 characters',
      ],
    });
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toBackupNamespace } from '../../lib/config/backup-registry.ts';
import { type Config, parseConfig, readConfig } from '../../lib/config/config.ts';
import { configVariables } from '../../lib/config/variables.ts';
import { parseReference } from '../../lib/image/reference.ts';

function problems(env: Record<string, string>): readonly string[] {
  try {
    parseConfig(env);
  } catch (error) {
    assert(error instanceof Error && 'problems' in error && Array.isArray(error.problems));
    assert.equal(error.name, 'ConfigError');
    assert.equal(error.message, error.problems.join('\n'));
    return error.problems.map(String);
  }
  return [];
}

/** Every name that exchanging two neighbouring letters of `name` makes: `ON_ERORR` of `ON_ERROR`. */
function transpose(name: string): readonly string[] {
  return Array.from({ length: name.length - 1 }, (_, index) => {
    const [start, end] = [name.slice(0, index), name.slice(index + 2)];
    return `${start}${name.charAt(index + 1)}${name.charAt(index)}${end}`;
  }).filter((transposed) => transposed !== name);
}

const defaults: Config = {
  backup: { domain: 'docker.io', path: '' },
  registryAuth: 'auto',
  registryAuthDir: '/auth',
  cloner: 'docker',
  dockerHost: 'unix:///var/run/docker.sock',
  platforms: [],
  naming: 'flat',
  pinDigests: false,
  onError: 'deny',
  onDeadline: 'retry',
  namespaceOverrides: [],
  maxClones: 4,
  maxWaiting: 1_000,
  ignoreImages: [],
  sourceRegistries: [],
  formerBackups: [],
  sourceCloudAuth: [],
  cloneOnlyOwners: ['*'],
  adoptExisting: false,
  privateToPublic: 'deny',
  insecureRegistries: [],
  pullSecrets: false,
  events: true,
  port: 8080,
  logLevel: 'info',
  logFormat: 'json',
};

describe('parseConfig', () => {
  it('returns the default configuration for an empty environment', () => {
    assert.deepEqual(parseConfig({}), defaults);
  });

  it('counts an empty variable as not set', () => {
    const empty = Object.fromEntries(configVariables.map(({ name }) => [name, ' ']));

    assert.deepEqual(parseConfig(empty), defaults);
  });

  it('ignores environment variables of other programs', () => {
    const others = {
      HOME: '/root',
      PATH: '/bin',
      HOSTNAME: 'x',
      K_SERVICE: 'image-cloner',
      SSL_CERT_FILE: '/etc/ssl/cert.pem',
      NODE_OPTIONS: '--enable-source-maps',
      npm_config_registry: 'https://registry.npmjs.org/',
      KUBERNETES_SERVICE_HOST: '10.0.0.1',
      KUBERNETES_PORT: 'tcp://10.0.0.1:443',
      DOCKER_CERT_PATH: '/certs',
      PWD: '/',
    };

    assert.deepEqual(parseConfig(others), defaults);
  });

  it('ignores the variables that the kubelet sets for a Service named image-cloner', () => {
    const links = {
      IMAGE_CLONER_SERVICE_HOST: '10.0.0.7',
      IMAGE_CLONER_SERVICE_PORT: '443',
      IMAGE_CLONER_SERVICE_PORT_HTTPS: '443',
      IMAGE_CLONER_PORT: 'tcp://10.0.0.7:443',
      IMAGE_CLONER_PORT_443_TCP: 'tcp://10.0.0.7:443',
      IMAGE_CLONER_PORT_443_TCP_PROTO: 'tcp',
      IMAGE_CLONER_PORT_443_TCP_PORT: '443',
      IMAGE_CLONER_PORT_443_TCP_ADDR: '10.0.0.7',
      IMAGE_CLONER_00001_SERVICE_HOST: '10.0.0.8',
    };

    assert.deepEqual(parseConfig(links), defaults);
  });

  const accepted: readonly (readonly [name: string, value: string, change: Partial<Config>])[] = [
    ['REGISTRY', 'docker.io', {}],
    ['REGISTRY', 'index.docker.io', {}],
    ['REGISTRY', 'registry-1.docker.io', {}],
    ['REGISTRY', 'docker.io/', {}],
    ['REGISTRY', '/', {}],
    ['REGISTRY', 'quay.io', { backup: { domain: 'quay.io', path: '' } }],
    ['REGISTRY', ' quay.io// ', { backup: { domain: 'quay.io', path: '' } }],
    ['REGISTRY', 'registry.corp:5000', { backup: { domain: 'registry.corp:5000', path: '' } }],
    ['REGISTRY', 'localhost', { backup: { domain: 'localhost', path: '' } }],
    ['REGISTRY', '[::1]:5000', { backup: { domain: '[::1]:5000', path: '' } }],
    ['REGISTRY', 'ghcr.io/acme/team', { backup: { domain: 'ghcr.io', path: 'acme/team' } }],
    ['REGISTRY', 'ghcr.io/acme/', { backup: { domain: 'ghcr.io', path: 'acme' } }],
    [
      'REGISTRY_NAMESPACE',
      'team/backups',
      { backup: { domain: 'docker.io', path: '', namespace: 'team/backups' } },
    ],
    ['REGISTRY_AUTH', 'file', { registryAuth: 'file' }],
    ['SOURCE_CLOUD_AUTH', 'acr, ecr', { sourceCloudAuth: ['ecr', 'acr'] }],
    ['REGISTRY_AUTH_DIR', '/run/auth', { registryAuthDir: '/run/auth' }],
    ['CLONER', 'docker', {}],
    ['DOCKER_HOST', 'unix:///run/docker.sock', { dockerHost: 'unix:///run/docker.sock' }],
    ['DOCKER_HOST', 'tcp://10.0.0.1:2375', { dockerHost: 'tcp://10.0.0.1:2375' }],
    ['NAMING', 'nested', { naming: 'nested' }],
    ['PIN_DIGESTS', 'true', { pinDigests: true }],
    ['PIN_DIGESTS', 'false', {}],
    ['ON_ERROR', 'admit', { onError: 'admit' }],
    ['ON_ERROR', ' deny ', {}],
    ['ON_DEADLINE', 'admit', { onDeadline: 'admit' }],
    ['NAMESPACE_OVERRIDES', 'ON_DEADLINE', { namespaceOverrides: ['ON_DEADLINE'] }],
    [
      'NAMESPACE_OVERRIDES',
      'ON_ERROR, ON_DEADLINE',
      { namespaceOverrides: ['ON_ERROR', 'ON_DEADLINE'] },
    ],
    ['MAX_CLONES', '1', { maxClones: 1 }],
    ['MAX_CLONES', '64', { maxClones: 64 }],
    [
      'SOURCE_REGISTRIES',
      'docker.io, quay.io\nlocalhost:5000',
      { sourceRegistries: ['docker.io', 'quay.io', 'localhost:5000'] },
    ],
    ['SOURCE_REGISTRIES', 'index.docker.io', { sourceRegistries: ['docker.io'] }],
    ['SOURCE_AUTH_FILE', '/auth/config.json', { sourceAuthFile: '/auth/config.json' }],
    ['BACKUP_PULL_SECRET', 'backup.pull-1', { backupPullSecret: 'backup.pull-1' }],
    ['CLONE_ONLY_OWNERS', '*', {}],
    [
      'CLONE_ONLY_OWNERS',
      'argoproj.io/Rollout,/ReplicationController',
      { cloneOnlyOwners: ['argoproj.io/Rollout', '/ReplicationController'] },
    ],
    ['ADOPT_EXISTING', 'true', { adoptExisting: true }],
    ['PORT', '1', { port: 1 }],
    ['PORT', '65535', { port: 65_535 }],
    ['LOG_LEVEL', 'debug', { logLevel: 'debug' }],
    ['LOG_FORMAT', 'pretty', { logFormat: 'pretty' }],
  ];
  for (const [name, value, change] of accepted) {
    it(`reads the variable ${name}=${JSON.stringify(value)}`, () => {
      assert.deepEqual(parseConfig({ [name]: value }), { ...defaults, ...change });
    });
  }

  it('reads IGNORE_IMAGES as patterns', () => {
    const { ignoreImages } = parseConfig({ IGNORE_IMAGES: 'nginx:dev, quay.io/**' });

    assert.deepEqual(
      ignoreImages.map(({ text }) => text),
      ['nginx:dev', 'quay.io/**'],
    );
    assert.equal(ignoreImages[1]?.matches(parseReference('quay.io/a/b')), true);
  });

  it('reads TLS_CERT_FILE and TLS_PRIVATE_KEY_FILE together', () => {
    const env = { TLS_CERT_FILE: '/tls/tls.crt', TLS_PRIVATE_KEY_FILE: '/tls/tls.key' };

    assert.deepEqual(parseConfig(env), {
      ...defaults,
      tls: { certFile: '/tls/tls.crt', keyFile: '/tls/tls.key' },
    });
  });

  it('reads TLS_PORT and TLS_CLIENT_CA_FILE beside a certificate', () => {
    const env = {
      TLS_CERT_FILE: '/tls/tls.crt',
      TLS_PRIVATE_KEY_FILE: '/tls/tls.key',
      TLS_PORT: '8443',
      TLS_CLIENT_CA_FILE: '/tls/clients.crt',
    };

    assert.deepEqual(parseConfig(env).tls, {
      certFile: '/tls/tls.crt',
      keyFile: '/tls/tls.key',
      port: 8443,
      clientCaFile: '/tls/clients.crt',
    });
  });

  it('refuses a TLS_PORT that equals PORT, also where PORT is the default', () => {
    const env = { TLS_CERT_FILE: '/tls.crt', TLS_PRIVATE_KEY_FILE: '/tls.key', TLS_PORT: '8080' };
    const same = 'TLS_PORT must differ from PORT: 8080 cannot be both HTTPS and plain http';

    assert.deepEqual(problems(env), [same]);
    assert.deepEqual(problems({ ...env, TLS_PORT: '8443', PORT: '8443' }), [
      'TLS_PORT must differ from PORT: 8443 cannot be both HTTPS and plain http',
    ]);
    assert.deepEqual(problems({ ...env, PORT: '8081' }), []);
  });

  const noHost = 'REGISTRY must be a registry host, such as registry.example.com:5000';
  const noScheme = 'REGISTRY must be a host without a scheme, such as registry.example.com';
  const noNamespace =
    'REGISTRY_NAMESPACE must be a lower-case repository path, such as backups, of at most 128 characters';
  const noDocker = 'DOCKER_HOST must be unix:///path/to/docker.sock or tcp://host:port';
  const noOwners =
    'CLONE_ONLY_OWNERS must be * or a list of group/Kind, such as apps/ReplicaSet,argoproj.io/Rollout';
  const noHosts =
    'SOURCE_REGISTRIES must list registry hosts, separated by commas or spaces, such as docker.io,quay.io';
  const refused: readonly (readonly [name: string, value: string, problem: string])[] = [
    ['REGISTRY', 'https://quay.io', noScheme],
    ['REGISTRY', 'quay.io/UPPER', noHost],
    ['REGISTRY', 'quay.io:port', noHost],
    ['REGISTRY', 'user@quay.io', noHost],
    ['REGISTRY', 'ex_ample.com', noHost],
    ['REGISTRY', 'quay.io:99999', noHost],
    ['REGISTRY', '1.2.3.999', noHost],
    ['REGISTRY', 'quay.io//a', noHost],
    // acme/nginx is an image on Docker Hub, so no image can be pulled from a host without a dot or a port.
    ['REGISTRY', 'acme', noHost],
    ['REGISTRY', 'registry/acme', noHost],
    ['REGISTRY_NAMESPACE', 'Acme', noNamespace],
    ['REGISTRY_NAMESPACE', '/acme', noNamespace],
    ['REGISTRY_NAMESPACE', 'acme/', noNamespace],
    ['REGISTRY_NAMESPACE', 'robot$acme', noNamespace],
    ['REGISTRY_NAMESPACE', 'a'.repeat(129), noNamespace],
    ['REGISTRY_AUTH', 'aws', 'REGISTRY_AUTH must be auto, file, ecr, gar, acr or none'],
    [
      'SOURCE_CLOUD_AUTH',
      'ecr,aws',
      'SOURCE_CLOUD_AUTH must list ecr, gar or acr, separated by commas or spaces',
    ],
    [
      'FORMER_BACKUPS',
      'acme',
      'FORMER_BACKUPS must list registries with their namespace, such as registry.example.com/backups, separated by commas or spaces',
    ],
    ['CLONER', 'podman', 'CLONER must be docker or registry'],
    ['DOCKER_HOST', '/var/run/docker.sock', noDocker],
    ['DOCKER_HOST', 'ssh://host', noDocker],
    ['DOCKER_HOST', 'tcp://a:b:c', noDocker],
    ['DOCKER_HOST', 'tcp://host:99999', noDocker],
    ['DOCKER_HOST', 'unix:///run/%zz.sock', noDocker],
    ['NAMING', 'deep', 'NAMING must be flat or nested'],
    ['PIN_DIGESTS', 'yes', 'PIN_DIGESTS must be true or false'],
    ['PIN_DIGESTS', '1', 'PIN_DIGESTS must be true or false'],
    ['ON_ERROR', 'ignore', 'ON_ERROR must be deny or admit'],
    ['ON_DEADLINE', 'deny', 'ON_DEADLINE must be retry or admit'],
    [
      'NAMESPACE_OVERRIDES',
      'SOURCE_REGISTRIES',
      'NAMESPACE_OVERRIDES must list ON_ERROR, ON_DEADLINE or both, separated by commas or spaces',
    ],
    ['MAX_CLONES', '0', 'MAX_CLONES must be a whole number from 1 to 64'],
    ['MAX_CLONES', '65', 'MAX_CLONES must be a whole number from 1 to 64'],
    ['MAX_CLONES', '1.5', 'MAX_CLONES must be a whole number from 1 to 64'],
    ['MAX_CLONES', '1e1', 'MAX_CLONES must be a whole number from 1 to 64'],
    [
      'IGNORE_IMAGES',
      'nginx,a+b',
      'IGNORE_IMAGES has an invalid entry: "a+b" is not an image pattern',
    ],
    ['SOURCE_REGISTRIES', 'quay.io/acme', noHosts],
    ['SOURCE_REGISTRIES', 'quay', noHosts],
    ['SOURCE_REGISTRIES', '*', noHosts],
    ['BACKUP_PULL_SECRET', 'a/b', 'BACKUP_PULL_SECRET must be the name of a Secret'],
    ['BACKUP_PULL_SECRET', 'Upper', 'BACKUP_PULL_SECRET must be the name of a Secret'],
    ['CLONE_ONLY_OWNERS', 'ReplicaSet', noOwners],
    ['CLONE_ONLY_OWNERS', 'apps/v1/ReplicaSet', noOwners],
    ['ADOPT_EXISTING', 'TRUE', 'ADOPT_EXISTING must be true or false'],
    ['PORT', '0', 'PORT must be a whole number from 1 to 65535'],
    ['PORT', '65536', 'PORT must be a whole number from 1 to 65535'],
    ['PORT', 'http', 'PORT must be a whole number from 1 to 65535'],
    [
      'TLS_CERT_FILE',
      '/tls/tls.crt',
      'TLS_PRIVATE_KEY_FILE must be set too: HTTPS needs the certificate and its key',
    ],
    [
      'TLS_PRIVATE_KEY_FILE',
      '/tls/tls.key',
      'TLS_CERT_FILE must be set too: HTTPS needs the certificate and its key',
    ],
    ['TLS_PORT', '8443', 'TLS_PORT needs TLS_CERT_FILE and TLS_PRIVATE_KEY_FILE'],
    [
      'TLS_CLIENT_CA_FILE',
      '/tls/clients.crt',
      'TLS_CLIENT_CA_FILE needs TLS_CERT_FILE and TLS_PRIVATE_KEY_FILE',
    ],
    ['LOG_LEVEL', 'verbose', 'LOG_LEVEL must be trace, debug, info, warn, error or fatal'],
    ['LOG_FORMAT', 'text', 'LOG_FORMAT must be json or pretty'],
    ['REGISTRI', 'quay.io', 'REGISTRI is not known; did you mean REGISTRY?'],
    [
      'REGISTRY_NAMESPASE',
      'a',
      'REGISTRY_NAMESPASE is not known; did you mean REGISTRY_NAMESPACE?',
    ],
    ['PIN_DIGEST', 'true', 'PIN_DIGEST is not known; did you mean PIN_DIGESTS?'],
    ['ONERROR', 'admit', 'ONERROR is not known; did you mean ON_ERROR?'],
    ['ON_ERORR', 'admit', 'ON_ERORR is not known; did you mean ON_ERROR?'],
    ['CLUSTER_DI', 'blue', 'CLUSTER_DI is not known; did you mean CLUSTER_ID?'],
    [
      'REGISTYR_NAMEPSACE',
      'a',
      'REGISTYR_NAMEPSACE is not known; did you mean REGISTRY_NAMESPACE?',
    ],
    ['IGNORE_IMAGE', 'nginx', 'IGNORE_IMAGE is not known; did you mean IGNORE_IMAGES?'],
    [
      'IMAGE_CLONER_ON_ERROR',
      'admit',
      'IMAGE_CLONER_ON_ERROR is not known; did you mean ON_ERROR?',
    ],
    ['IMAGE_CLONER_PORT', '8443', 'IMAGE_CLONER_PORT is not known; did you mean PORT?'],
    ['IMAGE_CLONER_COLOUR', 'red', 'IMAGE_CLONER_COLOUR is not known'],
  ];
  for (const [name, value, problem] of refused) {
    it(`refuses the variable ${name}=${JSON.stringify(value).slice(0, 40)} with "${problem}"`, () => {
      assert.deepEqual(problems({ [name]: value }), [problem]);
    });
  }

  for (const { name } of configVariables) {
    it(`suggests ${name} when two neighbouring letters of it are transposed`, () => {
      for (const misspelt of transpose(name)) {
        const problem = `${misspelt} is not known; did you mean ${name}?`;
        assert.deepEqual(problems({ [misspelt]: 'x' }), [problem]);
        assert.deepEqual(problems({ [`IMAGE_CLONER_${misspelt}`]: 'x' }), [
          `IMAGE_CLONER_${problem}`,
        ]);
      }
    });
  }

  it("lists all problems of the webhook's variables at once", () => {
    const env = {
      REGISTRY: 'https://quay.io',
      PORT: 'http',
      ON_EROR: 'admit',
      IMAGE_CLONER_COLOUR: 'red',
      TLS_CERT_FILE: '/tls.crt',
      NAMING: 'deep',
    };

    assert.deepEqual(problems(env).toSorted(), [
      'IMAGE_CLONER_COLOUR is not known',
      'NAMING must be flat or nested',
      'ON_EROR is not known; did you mean ON_ERROR?',
      'PORT must be a whole number from 1 to 65535',
      noScheme,
      'TLS_PRIVATE_KEY_FILE must be set too: HTTPS needs the certificate and its key',
    ]);
  });

  for (const name of ['CLUSTER_DIR', 'CLUSTER_IP', 'REGISTRY_PATH', 'LOG_FILE', 'NODE_PORT']) {
    it(`ignores the variable ${name} of another program`, () => {
      assert.deepEqual(problems({ [name]: 'x' }), []);
    });
  }

  it('never quotes the value of a variable, which could be a secret', () => {
    const found = problems({ REGISTRY: 'https://user:hunter2@quay.io', DOCKER_HOST: 'hunter2' });

    assert.equal(found.length, 2);
    assert.doesNotMatch(found.join('\n'), /hunter2/);
  });
});

describe('readConfig', () => {
  it('readConfig reads the valid variables beside invalid ones', () => {
    const { config, problems, isValid } = readConfig({ CLONER: 'podman', SOURCE_AUTH_FILE: '/a' });

    assert.deepEqual(problems, ['CLONER must be docker or registry']);
    assert.deepEqual(config, { ...defaults, sourceAuthFile: '/a' });
    assert.equal(isValid('CLONER'), false);
    assert.equal(isValid('DOCKER_HOST', 'CLONER'), false);
    assert.equal(isValid('DOCKER_HOST', 'SOURCE_AUTH_FILE'), true);
  });
});

describe('toBackupNamespace', () => {
  const hub = { domain: 'docker.io', path: '' };
  const cases = [
    {
      name: 'the username where none is configured',
      backup: hub,
      username: 'acme',
      expected: 'acme',
    },
    {
      name: 'the configured namespace',
      backup: { ...hub, namespace: 'backups' },
      username: 'acme',
      expected: 'backups',
    },
    {
      name: 'the path of REGISTRY followed by the username',
      backup: { domain: 'ghcr.io', path: 'org/team' },
      username: 'acme',
      expected: 'org/team/acme',
    },
    {
      name: 'the configured namespace even if the username is no path',
      backup: { domain: 'gcr.io', path: '', namespace: 'backups' },
      username: '_json_key',
      expected: 'backups',
    },
  ];
  for (const { name, backup, username, expected } of cases) {
    it(`returns ${name} as the namespace of the backup`, () => {
      assert.equal(toBackupNamespace(backup, username), expected);
    });
  }

  for (const username of [
    '_json_key',
    'robot$acme',
    'org+robot',
    'Acme',
    '',
    ' acme',
    'a'.repeat(129),
  ]) {
    it(`refuses the username ${JSON.stringify(username).slice(0, 20)} as a namespace`, () => {
      assert.throws(() => toBackupNamespace(hub, username), {
        name: 'ConfigError',
        problems: [
          `REGISTRY_NAMESPACE must be set: the username ${JSON.stringify(username)} cannot be part of an image name`,
        ],
      });
    });
  }

  it('refuses a backup registry and namespace of more than 200 characters', () => {
    const backup = { domain: 'registry.corp', path: 'p'.repeat(100), namespace: 'n'.repeat(100) };

    assert.throws(() => toBackupNamespace(backup, 'acme'), {
      name: 'ConfigError',
      message:
        'REGISTRY and REGISTRY_NAMESPACE must together have at most 200 characters: the rest of a name is for the image',
    });
  });
});

describe('parseConfig PLATFORMS', () => {
  const parse = (PLATFORMS: string): Config['platforms'] =>
    parseConfig({ CLONER: 'registry', PLATFORMS }).platforms;

  it('reads all platforms, or a list without repetitions, in any order', () => {
    assert.deepEqual(parse('all'), []);
    assert.deepEqual(parse(' linux/arm64/v8,\nlinux/amd64 linux/amd64 '), [
      'linux/amd64',
      'linux/arm64/v8',
    ]);
    assert.deepEqual(parse('linux/arm64/v8,linux/arm64,windows/amd64'), [
      'linux/arm64',
      'windows/amd64',
    ]);
  });

  const wrong = ['linux', 'linux/amd64/', 'LINUX/amd64', 'all,linux/amd64', 'linux/arm/v7/x', ','];
  for (const value of wrong) {
    it(`rejects PLATFORMS=${value}`, () => {
      assert.throws(() => parse(value), {
        name: 'ConfigError',
        message:
          'PLATFORMS must be all, or list os/architecture or os/architecture/variant, such as linux/amd64,linux/arm64/v8',
      });
    });
  }

  it('rejects PLATFORMS with CLONER=docker in one sentence', () => {
    for (const CLONER of ['docker', '']) {
      assert.throws(() => parseConfig({ CLONER, PLATFORMS: 'linux/amd64' }), {
        name: 'ConfigError',
        message: 'PLATFORMS needs CLONER=registry: a docker daemon copies its own platform only',
      });
    }
  });
});

describe('parseConfig PULL_SECRETS', () => {
  it('accepts PULL_SECRETS with CLONER=registry only', () => {
    assert.equal(parseConfig({ PULL_SECRETS: 'true', CLONER: 'registry' }).pullSecrets, true);
    assert.throws(() => parseConfig({ PULL_SECRETS: 'true' }), {
      name: 'ConfigError',
      message:
        'PULL_SECRETS needs CLONER=registry: a docker daemon sends passwords to any token server that a registry names',
    });
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fitNote, fitWarning, toWarning } from '../../../lib/admission/answer/warning.ts';
import type { ImagePlace } from '../../../lib/admission/workload.ts';

const D = `sha256:${'d'.repeat(64)}`;

function place(label: string): ImagePlace {
  return { pointer: '', label, id: '', position: '', image: '', neverPulled: false };
}

const web = [place('container "web"')];
const exporter = 'quay.io/prometheus/node-exporter:v1.8.0';
const controller = 'registry.k8s.io/ingress-nginx/controller:v1.11.2';
const copy = {
  domain: 'registry.example.com',
  path: 'backups/registry.k8s.io__ingress-nginx__controller',
  tag: 'v1.11.2',
};

describe('fitWarning', () => {
  const whole: readonly (readonly [
    name: string,
    text: string,
    image: string,
    places: readonly ImagePlace[] | undefined,
    expected: string,
  ])[] = [
    [
      'puts the place of a warning last',
      'not backed up: nginx:9.99 does not exist on docker.io',
      'nginx:9.99',
      web,
      'not backed up: nginx:9.99 does not exist on docker.io (container "web")',
    ],
    [
      'adds the image to a warning that does not name it',
      'not backed up: registry.corp did not answer',
      'nginx:1.27',
      web,
      'not backed up: registry.corp did not answer (nginx:1.27, container "web")',
    ],
    [
      'adds nothing to a short warning without a place',
      'using the backup: registry.corp did not answer',
      'nginx:1.27',
      undefined,
      'using the backup: registry.corp did not answer',
    ],
    [
      'omits the digest of an image in a warning',
      `not backed up: nginx:1.27@${D} does not exist on docker.io`,
      `nginx:1.27@${D}`,
      web,
      'not backed up: nginx:1.27 does not exist on docker.io (container "web")',
    ],
    [
      'shortens other digests in a warning',
      `nginx:1.27 is held at ${D}`,
      'nginx:1.27',
      undefined,
      'nginx:1.27 is held at sha256:dddddddddddd…',
    ],
    [
      'counts further containers in a warning',
      'not backed up: gone',
      'nginx',
      [...web, place('container "b"'), place('container "c"')],
      'not backed up: gone (nginx, container "web" and 2 more)',
    ],
  ];
  for (const [name, text, image, places, expected] of whole) {
    it(name, () => {
      assert.equal(fitWarning(text, { image, ...(places && { places }) }), expected);
    });
  }

  const long: readonly (readonly [text: string, image: string, expected: string])[] = [
    [
      `not backed up: quay.io denied access to ${exporter}: the image is private or does not exist`,
      exporter,
      'not backed up: quay.io denied access to it: the image is private or does not exist (prometheus/node-exporter:v1.8.0)',
    ],
    [
      `not backed up: ${exporter}@${D} cannot be copied: it has 123456789 bytes, more than MAX_IMAGE_BYTES (100000000)`,
      `${exporter}@${D}`,
      'not backed up: it cannot be copied: it has 123456789 bytes, more than MAX_IMAGE_BYTES (100000000) (…ode-exporter:v1.8.0)',
    ],
    [
      `not backed up: registry.k8s.io cannot be reached for ${controller}@${D}: reading a layer: the connection was reset`,
      controller,
      'not backed up: registry.k8s.io cannot be reached: reading a layer: the connection was reset (…controller:v1.11.2)',
    ],
    [
      'not backed up: the backup registry registry.example.com did not accept registry.example.com/backups/registry.k8s.io__ingress-nginx__controller:v1.11.2: writing the manifest: manifest invalid',
      controller,
      'not backed up: the backup registry did not accept it: writing the manifest: manifest invalid (…controller:v1.11.2)',
    ],
    [
      'not backed up: registry.example.com/backups/registry.k8s.io__ingress-nginx__controller:v1.11.2 exists in the backup and was not written by image-cloner: give the backups a namespace of their own',
      controller,
      'not backed up: the tag exists in the backup and was not written by image-cloner: give the backups… (…controller:v1.11.2)',
    ],
    [
      `not backed up: docker.io rejected the request for ghost:5.82.11-alpine3.19: rate limit; try again in 1 h, or authenticate (SOURCE_AUTH_FILE) to get a separate limit`,
      'docker.io/library/ghost:5.82.11-alpine3.19',
      'not backed up: docker.io rejected the request: rate limit; try again in 1 h, or authenticat… (…ghost:5.82.11-alpine3.19)',
    ],
    [
      'not backed up: the docker daemon cannot be reached for docker (ECONNREFUSED): check that it runs and that DOCKER_HOST names its socket',
      'docker',
      'not backed up: the docker daemon cannot be reached (ECONNREFUSED): check that it runs and that DOCKER_HOST nam… (docker)',
    ],
  ];
  for (const [text, image, expected] of long) {
    it(`keeps the reason of a long warning: ${expected}`, () => {
      assert.equal(fitWarning(text, { image, others: [copy], places: web }), expected);
    });
  }

  it('drops the request that failed from a long warning before the reason', () => {
    const image = `no-such-registry.invalid/some/team/application:v1.0.0@${D}`;

    assert.equal(
      fitWarning(
        `not backed up: no-such-registry.invalid cannot be reached for ${image}: resolving the reference: its host name does not resolve`,
        { image, places: web },
      ),
      'not backed up: no-such-registry.invalid cannot be reached: its host name does not resolve (some/team/application:v1.0.0)',
    );
  });

  const failed = [
    [
      'connecting to registry-1.docker.io: connection refused',
      'using the backup: docker.io cannot be reached: connection refused (bitnami/postgresql-repmgr:16)',
    ],
    [
      'resolving the host name registry-1.docker.io: the name does not exist',
      'using the backup: docker.io cannot be reached: the name does not exist (bitnami/postgresql-repmgr:16)',
    ],
  ] as const;
  for (const [detail, expected] of failed) {
    it(`drops the host from a long warning before the reason: ${detail}`, () => {
      const image = 'bitnami/postgresql-repmgr:16';
      const text = `using the backup of ${image}: docker.io cannot be reached for ${image}: ${detail}`;

      assert.equal(fitWarning(text, { image }), expected);
    });
  }

  it('cuts a long warning without a separator before the ellipsis', () => {
    const reason =
      'registry.example.com denied access to it: the image is private or does not exist';

    assert.equal(
      fitWarning(`not backed up: ${reason}; ${'advice '.repeat(9)}`, {
        image: 'quay.io/a/app:latest',
      }),
      `not backed up: ${reason}… (quay.io/a/app:latest)`,
    );
  });

  it('names an image in a long warning by its last component, if that fits', () => {
    const reason =
      'the registry returned a page that is not a manifest, so its proxy asks for a login';
    const image = `registry.corp/${'team/'.repeat(20)}app:v1`;

    assert.equal(
      fitWarning(`not backed up: ${reason}`, { image, places: web }),
      `not backed up: ${reason} (…app:v1)`,
    );
  });

  it('never exceeds 120 characters in a warning, whatever the names', () => {
    const text = `not backed up: ${'x'.repeat(300)}`;
    const line = fitWarning(text, { image: 'i'.repeat(300), places: web });

    assert.equal(line.length, 120);
    assert.match(line, /^not backed up: x{81}… \(…i{19}\)$/);
  });

  it('does not use the text of an image that is no image name as a pattern', () => {
    const image = '('.repeat(100);
    const text = `not backed up: ${JSON.stringify(image)} is not a valid image name`;

    assert.match(fitWarning(text, { image }), /^not backed up: "\({80}… \(…\({19}\)$/);
  });
});

describe('fitNote', () => {
  const notes: readonly (readonly [text: string, image: string, expected: string])[] = [
    [
      'using the backup of nginx:1.27: docker.io did not answer',
      'nginx:1.27',
      'using the backup of nginx:1.27: docker.io did not answer',
    ],
    [
      `using the backup of ${exporter}: quay.io cannot be reached for ${exporter}: resolving the reference: connection refused`,
      exporter,
      'using the backup of …node-exporter:v1.8.0: quay.io cannot be reached: resolving the reference: connection refused',
    ],
    [
      `using the backup of ${exporter}: quay.io cannot be reached for ${exporter}: resolving the reference: its host name does not resolve`,
      exporter,
      'using the backup of …node-exporter:v1.8.0: quay.io cannot be reached: its host name does not resolve',
    ],
    [
      `${controller} is pinned to its digest, its tag in the backup cannot be moved: the backup registry registry.example.com did not accept registry.example.com/backups/registry.k8s.io__ingress-nginx__controller:v1.11.2: tag is immutable`,
      controller,
      '…controller:v1.11.2 is pinned to its digest, its tag in the backup cannot be moved: the backup registry did not accept…',
    ],
    [
      `${controller} is pinned to its digest: the backup registry registry.example.com returned an error for registry.example.com/backups/registry.k8s.io__ingress-nginx__controller:v1.11.2.hold: resolving the reference: status 503`,
      controller,
      '…controller:v1.11.2 is pinned to its digest: the backup registry returned an error: resolving the reference: status 503',
    ],
    [
      `${controller} is pinned to its digest: the backup registry registry.example.com did not serve registry.example.com/backups/registry.k8s.io__ingress-nginx__controller:v1.11.2.0123456789ab: reading its manifest: status 412`,
      controller,
      '…controller:v1.11.2 is pinned to its digest: the backup registry did not serve it: reading its manifest: status 412',
    ],
    [
      'registry.example.com/backups/registry.k8s.io__ingress-nginx__controller:v1.11.2 was not written by image-cloner: it is not used if the source fails',
      controller,
      'the tag was not written by image-cloner: it is not used if the source fails (…controller:v1.11.2)',
    ],
  ];
  for (const [text, image, expected] of notes) {
    it(`keeps the name in its place in a note: ${expected}`, () => {
      assert.equal(fitNote(text, { image, others: [copy] }), expected);
    });
  }
});

describe('toWarning', () => {
  it('keeps a warning of 120 characters', () => {
    assert.equal(toWarning('w'.repeat(120)), 'w'.repeat(120));
  });

  it('cuts a warning of more than 120 characters', () => {
    assert.equal(toWarning('w'.repeat(121)), `${'w'.repeat(119)}…`);
  });

  it('does not cut a warning inside a surrogate pair', () => {
    assert.equal(toWarning(`${'w'.repeat(118)}🚢🚢`), `${'w'.repeat(118)}…`);
  });
});

import fc from 'fast-check';
import type { Reference } from '../../lib/image/reference.ts';

/** Domains of every form that the grammar allows. */
const domain = fc.oneof(
  fc.constantFrom(
    'quay.io',
    'Quay.io',
    'registry.corp',
    'registry.corp:5000',
    'registry.corp-5000',
    'localhost',
    'LOCALHOST',
    'localhost:5000',
    '127.0.0.1:5000',
    '[::1]',
    '[::1]:5000',
    '[::]',
    '[::]:5000',
    '[1::1]',
    '[a:b]:1',
    'docker.io:443',
    'registry-1.docker.io',
    'a.b-012345678901',
    `${'h'.repeat(60)}.corp`,
  ),
  fc
    .tuple(fc.stringMatching(/^[a-zA-Z0-9]{1,5}$/), fc.stringMatching(/^[a-z0-9]{1,4}$/))
    .map((labels) => labels.join('.')),
);

const component = fc.oneof(
  { weight: 3, arbitrary: fc.stringMatching(/^[a-z0-9]{1,3}$/) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'a',
      'b',
      'a__b',
      'a__a__b',
      'a_b',
      'a--b',
      'a.b',
      'library',
      'localhost',
      'quay.io',
      'docker.io',
      'registry.corp-5000',
      'a-0123456789ab',
      'b-abcdefabcdef',
      'abcdefabcdef',
      'q'.repeat(90),
      'a'.repeat(64),
    ),
  },
);

const path = fc
  .array(component, { minLength: 1, maxLength: 4 })
  .map((components) => components.join('/'))
  .filter((text) => text.length <= 240);

const tag = fc.oneof(
  fc.constantFrom('latest', '1.27', '_x', 'V1', 't'.repeat(128)),
  fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,6}$/),
);

const digest = fc
  .constantFrom(['sha256', 64] as const, ['sha384', 96] as const, ['sha512', 128] as const)
  .chain(([algorithm, length]) =>
    fc
      .string({
        unit: fc.stringMatching(/^[0-9a-f]$/),
        minLength: length,
        maxLength: length,
      })
      .map((text) => `${algorithm}:${text}`),
  );

const named = fc.oneof(
  fc.record({ domain, path }),
  fc.record({
    domain: fc.constant('docker.io'),
    path: path.map((text) => (text.includes('/') ? text : `library/${text}`)),
  }),
);

const version = fc.oneof(
  fc.record({}),
  fc.record({ tag }),
  fc.record({ digest }),
  fc.record({ tag, digest }),
);

/** References that parseReference can return, biased towards similar ones. */
export const anyReference: fc.Arbitrary<Reference> = fc
  .tuple(named, version)
  .map(([repository, rest]) => ({ ...repository, ...rest }));

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReviewPolicy } from '../../lib/admission/policy.ts';
import { CloneError } from '../../lib/errors.ts';
import { formatReference } from '../../lib/image/reference.ts';
import { type RewrittenText, rewriteManifests } from '../../lib/rewrite/index.ts';
import { policy } from '../support/reviews.ts';

interface Setting {
  readonly change?: Partial<ReviewPolicy>;
  /** Images that the backup does not have. */
  readonly missing?: readonly string[];
  readonly isDown?: boolean;
  readonly copies?: boolean;
  readonly looksUp?: boolean;
  readonly namespace?: string;
  /** Receives each question. */
  readonly onAsk?: (image: string, namespace: string) => void;
}

async function rewrite(
  text: string,
  {
    change = {},
    missing = [],
    isDown = false,
    copies = true,
    looksUp = false,
    namespace = 'default',
    onAsk = () => undefined,
  }: Setting = {},
): Promise<RewrittenText> {
  return await rewriteManifests(text, {
    policy: policy(change),
    ask: async ({ source, backup, dryRun, namespace: of = '' }) => {
      const name = formatReference(source);
      onAsk(name, of);
      if (isDown) return undefined;
      if (!missing.includes(name)) {
        return await Promise.resolve({
          status: 'ready',
          image: backup,
          result: 'present',
          bytes: 0,
          durationMs: 0,
          warnings: [],
        });
      }
      if (dryRun) {
        const durations = { bytes: 0, durationMs: 0, warnings: [] };
        return { status: 'ready', image: backup, result: 'planned', ...durations };
      }
      const message = `${name} does not exist on docker.io`;
      return { status: 'failed', error: new CloneError('SOURCE_NOT_FOUND', message) };
    },
    outage: () => (isDown ? 'the backup registry docker.io cannot be reached' : undefined),
    copies,
    looksUp,
    namespace,
    signal: new AbortController().signal,
  });
}

interface Golden {
  readonly name: string;
  readonly input: string;
  readonly expected: string;
  readonly change?: Partial<ReviewPolicy>;
}

const annotation = (indent: number): string =>
  `${' '.repeat(indent)}image-cloner/original-images: '{"containers/web":"nginx:1.27"}'\n`;

const cases: readonly Golden[] = [
  {
    name: 'keeps comments, order and empty lines of a block map',
    input: `# the team's
apiVersion: v1 # core
kind: Pod

metadata:

  # the name
  name: web
  namespace: shop
spec:
  containers:
  # first
  - name: web
    image: nginx:1.27   # pinned by hand

    args: [a,  b]
`,
    expected: `# the team's
apiVersion: v1 # core
kind: Pod

metadata:
  annotations:
${annotation(4)}
  # the name
  name: web
  namespace: shop
spec:
  containers:
  # first
  - name: web
    image: acme/nginx:1.27   # pinned by hand

    args: [a,  b]
`,
  },
  {
    name: 'keeps the quotes of each image',
    input: `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: "nginx:1.27"}
  initContainers:
    - name: setup
      image: 'nginx:1.27'
`,
    expected: `apiVersion: v1
kind: Pod
metadata: {"annotations": {"image-cloner/original-images":"{\\"containers/web\\":\\"nginx:1.27\\",\\"initContainers/setup\\":\\"nginx:1.27\\"}"}, name: web}
spec:
  containers:
    - {name: web, image: "acme/nginx:1.27"}
  initContainers:
    - name: setup
      image: 'acme/nginx:1.27'
`,
  },
  {
    name: 'adds to annotations, replaces its own, and fills empty ones',
    input: `apiVersion: v1
kind: Pod
metadata:
  annotations:
    # kept
    owner: us
spec: &pod
  containers: [{name: web, image: nginx:1.27}]
---
apiVersion: v1
kind: Pod
metadata:
  annotations:
    image-cloner/original-images: '{}'
spec:
  containers: [{name: web, image: nginx:1.27}]
---
apiVersion: v1
kind: Pod
metadata:
  annotations: # none yet
  name: web
spec:
  containers: [{name: web, image: nginx:1.27}]
---
apiVersion: v1
kind: Pod
metadata: {annotations: null}
spec:
  containers: [{name: web, image: nginx:1.27}]
`,
    expected: `apiVersion: v1
kind: Pod
metadata:
  annotations:
${annotation(4)}    # kept
    owner: us
spec: &pod
  containers: [{name: web, image: acme/nginx:1.27}]
---
apiVersion: v1
kind: Pod
metadata:
  annotations:
${annotation(4)}spec:
  containers: [{name: web, image: acme/nginx:1.27}]
---
apiVersion: v1
kind: Pod
metadata:
  annotations: {"image-cloner/original-images":"{\\"containers/web\\":\\"nginx:1.27\\"}"} # none yet
  name: web
spec:
  containers: [{name: web, image: acme/nginx:1.27}]
---
apiVersion: v1
kind: Pod
metadata: {annotations: {"image-cloner/original-images":"{\\"containers/web\\":\\"nginx:1.27\\"}"}}
spec:
  containers: [{name: web, image: acme/nginx:1.27}]
`,
  },
  {
    name: 'adds the pull secret at the end of a list, or a list of its own',
    change: { backupPullSecret: 'regcred' },
    input: `apiVersion: v1
kind: Pod
metadata:
  annotations: {a: b}
spec:
  imagePullSecrets:
  - name: own   # ours
  # end of the list
  containers: [{name: web, image: nginx:1.27}]
---
apiVersion: batch/v1
kind: Job
metadata:
  annotations: {}
spec:
  template:
    spec:
      containers:
        - name: web
          image: nginx:1.27
---
apiVersion: v1
kind: Pod
metadata:
  annotations: {a: b}
spec:
  imagePullSecrets: [{name: own}]
  containers: [{name: web, image: nginx:1.27}]
`,
    expected: `apiVersion: v1
kind: Pod
metadata:
  annotations: {"image-cloner/original-images": "{\\"containers/web\\":\\"nginx:1.27\\"}", a: b}
spec:
  imagePullSecrets:
  - name: own   # ours
  - name: regcred
  # end of the list
  containers: [{name: web, image: acme/nginx:1.27}]
---
apiVersion: batch/v1
kind: Job
metadata:
  annotations: {"image-cloner/original-images": "{\\"containers/web\\":\\"nginx:1.27\\"}"}
spec:
  template:
    spec:
      imagePullSecrets:
        - name: regcred
      containers:
        - name: web
          image: acme/nginx:1.27
---
apiVersion: v1
kind: Pod
metadata:
  annotations: {"image-cloner/original-images": "{\\"containers/web\\":\\"nginx:1.27\\"}", a: b}
spec:
  imagePullSecrets: [{name: own}, {"name":"regcred"}]
  containers: [{name: web, image: acme/nginx:1.27}]
`,
  },
  {
    name: 'rewrites JSON',
    input: `{
\t"apiVersion": "v1", "kind": "Pod",
\t"metadata": {
\t\t"name": "web"
\t},
\t"spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]}
}
`,
    expected: `{
\t"apiVersion": "v1", "kind": "Pod",
\t"metadata": {"annotations": {"image-cloner/original-images":"{\\"containers/web\\":\\"nginx:1.27\\"}"},
\t\t"name": "web"
\t},
\t"spec": {"containers": [{"name": "web", "image": "acme/nginx:1.27"}]}
}
`,
  },
  {
    name: 'keeps the line breaks of Windows',
    input:
      'apiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: web\r\nspec:\r\n  containers:\r\n  - image: nginx:1.27\r\n    name: web\r\n',
    expected:
      'apiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  annotations:\r\n    image-cloner/original-images: \'{"containers/web":"nginx:1.27"}\'\r\n  name: web\r\nspec:\r\n  containers:\r\n  - image: acme/nginx:1.27\r\n    name: web\r\n',
  },
  {
    name: 'rewrites the items of lists, each with its own annotation',
    input: `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata:
    name: a
  spec:
    containers: [{name: web, image: nginx:1.27}]
- metadata:
    name: b
  apiVersion: v1
  kind: Pod
  spec: {containers: [{name: web, image: nginx:1.27}]}
- apiVersion: v1
  kind: ConfigMap
  data: {image: "nginx:1.27"}
`,
    expected: `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata:
    annotations:
${annotation(6)}    name: a
  spec:
    containers: [{name: web, image: acme/nginx:1.27}]
- metadata:
    annotations:
${annotation(6)}    name: b
  apiVersion: v1
  kind: Pod
  spec: {containers: [{name: web, image: acme/nginx:1.27}]}
- apiVersion: v1
  kind: ConfigMap
  data: {image: "nginx:1.27"}
`,
  },
  {
    name: 'leaves documents without an object, other kinds and no text at all as they are',
    input: `---
# nothing
---
just text
---
kind: Pod
---
apiVersion: v1
kind: Secret
data: {image: bmdpbng=}
...
`,
    expected: `---
# nothing
---
just text
---
kind: Pod
---
apiVersion: v1
kind: Secret
data: {image: bmdpbng=}
...
`,
  },
];

const pod = (spec: string): string => `apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
${spec}`;

const refused = [
  {
    name: 'an image behind an alias',
    text: pod(`  containers:
  - name: web
    image: *image
`).replace('name: web\nspec', 'name: &image nginx\nspec'),
    line: 8,
    message: 'it is behind the alias *image, which other places share: write it out here',
  },
  {
    name: 'a container that a merge key fills',
    text: pod(`  containers:
  - &base {name: web, image: nginx}
  - {<<: *base, name: other}
`),
    line: 8,
    message: 'image may come from a merge key (<<), which other places share: write it out here',
  },
  {
    name: 'an anchor that another field repeats',
    text: pod(`  containers: &all
  - {name: web, image: nginx}
x-other: *all
`),
    line: 1,
    message: 'an anchor in this text is used in other places too: write it out',
  },
  {
    name: 'an image in a block of lines',
    text: pod(`  containers:
  - name: web
    image: >-
      nginx
`),
    line: 8,
    message: 'it is a block of lines: write it in one line',
  },
  {
    name: 'a name that is no image',
    text: pod('  containers: [{name: web, image: NGINX}]\n'),
    line: 1,
    message:
      'container "web": "NGINX" is not a valid image name: the repository name must be lower case',
  },
  {
    name: 'a malformed object',
    text: pod('  containers: none\n'),
    line: 1,
    message: 'malformed: spec.containers is not a list',
  },
  {
    name: 'two fields of one name',
    text: pod('  containers: []\n  containers: []\n'),
    line: 7,
    message: 'Map keys must be unique',
  },
  {
    name: 'a template that was not rendered',
    text: pod('  containers:\n  - image: {{ .Values.image }}\n'),
    line: 1,
    message: 'malformed: spec.containers.0.image is not a string',
  },
];

describe('rewriteManifests', () => {
  for (const { name, input, expected, change = {} } of cases) {
    it(name, async () => {
      const { text, problems } = await rewrite(input, { change });

      assert.deepEqual(problems, []);
      assert.equal(text, expected);
    });
  }

  for (const { name, input, change = {} } of cases) {
    it(`changes nothing a second time: ${name}`, async () => {
      const { text } = await rewrite(input, { change });

      const second = await rewrite(text, { change });

      assert.equal(second.text, text);
      assert.equal(second.images, 0);
    });
  }

  for (const { name, text, line, message } of refused) {
    it(`refuses ${name}, with its line`, async () => {
      const result = await rewrite(text);

      assert.equal(result.text, text);
      const [problem] = result.problems;
      assert.equal(problem?.line, line);
      assert.equal(problem?.message, message);
    });
  }

  it('changes nothing of a text if one of its objects is refused', async () => {
    const text = `${pod('  containers: [{name: web, image: nginx}]\n')}---\n${pod('  containers: [{name: web, image: gone}]\n')}`;

    const result = await rewrite(text, { missing: ['gone'] });

    assert.equal(result.text, text);
    assert.deepEqual(result.problems, [
      {
        line: 8,
        object: 'pod/web',
        message: 'container "web": gone does not exist on docker.io',
      },
    ]);
    assert.deepEqual(result.missing, ['gone']);
  });

  it('asks for nothing of an object that is denied anyway', async () => {
    const asked: string[] = [];
    const text = pod('  containers: [{name: web, image: NGINX}, {name: b, image: nginx}]\n');

    const result = await rewrite(text, { onAsk: (image) => asked.push(image) });

    assert.equal(result.problems.length, 1);
    assert.deepEqual([asked, result.missing], [[], []]);
  });

  it('without copies, an image that the backup lacks is refused', async () => {
    const result = await rewrite(pod('  containers: [{name: web, image: nginx}]\n'), {
      missing: ['nginx'],
      copies: false,
    });

    assert.deepEqual(
      result.problems.map(({ message }) => message),
      [
        'container "web": the backup does not have nginx as it is now, and nothing is copied: image-cloner clone nginx',
      ],
    );
    assert.deepEqual(result.missing, ['nginx']);
  });

  it('with ON_ERROR=admit an image without a copy stays, with a warning', async () => {
    const text = pod('  containers: [{name: web, image: gone}]\n');

    const result = await rewrite(text, { missing: ['gone'], change: { onError: 'admit' } });

    assert.equal(result.text, text);
    assert.deepEqual(result.problems, []);
    assert.match(result.warnings[0]?.message ?? '', /gone does not exist on docker\.io/);
  });

  it('a backup that is down is said in its words', async () => {
    const result = await rewrite(pod('  containers: [{name: web, image: nginx}]\n'), {
      isDown: true,
    });

    assert.match(
      result.problems[0]?.message ?? '',
      /^container "web": nginx: the backup registry docker\.io cannot be reached/,
    );
  });

  it('looks up images that name the backup already', async () => {
    const text = pod(
      '  containers: [{name: web, image: "acme/nginx:1"}, {name: b, image: "acme/b:1"}]\n',
    );

    const result = await rewrite(text, { looksUp: true, missing: ['acme/b:1'], copies: false });

    assert.equal(result.images, 0);
    assert.deepEqual(result.missing, ['acme/b:1']);
  });

  it('takes the namespace of the object, else the given one', async () => {
    const asked: string[] = [];
    const text = `${pod('  containers: [{name: web, image: a}]\n')}---\n${pod('  containers: [{name: web, image: b}]\n').replace('name: web\nspec', 'name: web\n  namespace: night\nspec')}`;

    await rewrite(text, { namespace: 'shop', onAsk: (image, of) => asked.push(`${image} ${of}`) });

    assert.deepEqual(asked.toSorted(), ['a shop', 'b night']);
  });

  it('denies registries that SOURCE_REGISTRIES does not list', async () => {
    const result = await rewrite(pod('  containers: [{name: web, image: quay.io/a/b}]\n'), {
      change: { sourceRegistries: ['docker.io'] },
    });

    assert.match(result.problems[0]?.message ?? '', /SOURCE_REGISTRIES does not list quay\.io/);
  });
});

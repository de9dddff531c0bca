import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addResults } from '../../lib/rewrite/index.ts';

const list = `apiVersion: config.kubernetes.io/v1
kind: ResourceList
# the input
items: []
`;
const note = { line: 3, object: 'pod/web', message: 'refused' };

describe('addResults', () => {
  it('reports problems and warnings in a ResourceList', () => {
    assert.equal(
      addResults(list, { problems: [note], warnings: [{ ...note, object: '', message: 'odd' }] }),
      `results:
  - severity: error
    message: 'pod/web: refused'
  - severity: warning
    message: odd
apiVersion: config.kubernetes.io/v1
kind: ResourceList
# the input
items: []
`,
    );
  });

  it('keeps the results of earlier functions', () => {
    const earlier = `${list}results:\n- message: before\n`;

    assert.equal(
      addResults(earlier, { problems: [note], warnings: [] }),
      earlier.replace(
        '- message: before\n',
        '- message: before\n- severity: error\n  message: "pod/web: refused"\n',
      ),
    );
  });

  it('changes neither a list without notes nor any other text', () => {
    const nothing = { problems: [], warnings: [] };

    assert.equal(addResults(list, nothing), list);
    assert.equal(addResults('kind: Pod\n', { ...nothing, problems: [note] }), undefined);
    assert.equal(addResults('', nothing), undefined);
    assert.equal(addResults('a: b: c', nothing), undefined);
  });
});

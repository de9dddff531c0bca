import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

// What a webhook costs at the least: https, a body that is parsed, a JSON answer.
const [, , port, certFile = '', keyFile = ''] = process.argv;

createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (incoming, outgoing) => {
  let text = '';
  incoming.setEncoding('utf8');
  incoming.on('data', (chunk: string) => {
    text += chunk;
  });
  incoming.on('end', () => {
    const review: unknown = text === '' ? {} : JSON.parse(text);
    const uid = isReview(review) ? review.request.uid : '';
    outgoing.writeHead(200, { 'content-type': 'application/json' });
    outgoing.end(
      JSON.stringify({
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid, allowed: true },
      }),
    );
  });
}).listen(Number(port));

function isReview(value: unknown): value is { readonly request: { readonly uid: string } } {
  return typeof value === 'object' && value !== null && 'request' in value;
}

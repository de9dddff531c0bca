import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

// The least that a webhook does: TLS, parse the body, answer JSON.
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

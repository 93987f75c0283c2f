export { type ClientOptions, createClient } from './client.ts';
export { identify } from './identify.ts';
export { orderLines } from './order-lines.ts';
export { isErrorAnswer, toError } from './peer-error.ts';
export { type ResumeOptions, resumeEvents } from './resume.ts';
export {
  computeClient,
  isAlreadyApplied,
  orchestratorClient,
  storageClient,
} from './services.ts';
export { type UploadForm, uploadForm } from './upload-form.ts';
export { reach } from './where.ts';

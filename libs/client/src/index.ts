export { type ClientOptions, createClient } from './client.ts';
export { isAlreadyApplied } from './orchestrator.ts';
export { toError } from './peer-error.ts';
export { reach } from './reach.ts';
export { type ResumeOptions, resumeEvents } from './resume.ts';
export { computeClient, orchestratorClient, storageClient } from './services.ts';
export { type UploadForm, uploadForm } from './upload-form.ts';

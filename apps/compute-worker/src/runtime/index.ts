import type { Step } from '@morpheo/common';
import type { LivingFile } from '../files/living-tree.ts';

/**
 * ContainerRuntime: runs other people's code. What runs is hostile; what it leaves behind is as well. The numbers name
 * the sentences that tests show.
 *
 * - [R1] `prepare` makes a build context (an unpacked, checked archive with a Dockerfile at its root) ready to run, once
 *   per digest: a second call with the same digest finds it done (`cached`), [R2] two at once share the work. [R3] What
 *   is wrong with the context throws `OrderFailure` with `build_failed`; [R4] anything else thrown is the fault of the
 *   platform. [R5] The image may be run as long as the context's folder stays: a runtime may read it again at every run.
 * - [R6] `run` starts the image's entry point with `args`, in place of the arguments that its image has for it (CMD),
 *   waits for its end and tells how it ended, whatever the code
 *   did: [R7] a run that ends by itself, however badly, resolves. [R8] The host folders of `mounts` stand at their
 *   container paths. [R9] Output goes to `onOutput` in order, chunk by chunk; [R10] the returned promise is awaited
 *   before more is read. [R11] Should it reject, the run is killed and `run` rejects with the same. [R12] When `run`
 *   settles, no process of the run is left, also none that its entry point left behind, [R13] and no output comes any
 *   more.
 * - [R14] An entry point that cannot be started ends with 127 (not found) or 126 (not executable), as from a shell, and
 *   a line on stderr that says so; `notStarted` says why, where the file in the image is the reason.
 * - [R15] A run may write below its writable mounts, and in the folders that `HOME` and `TMPDIR` name; elsewhere it may
 *   find that it cannot. [R16] What it writes outside of its mounts is gone with it.
 * - [R17] What ends a run and is neither its own doing nor the caller's (its daemon went away, it was lost) rejects with
 *   `unavailable`: it says nothing about the program, and may be tried again.
 * - [R18] An abort of the signal kills the run, waits until nothing of it is left, and rejects with the signal's reason.
 * - [R19] A limit that is passed kills the run: `ended` names the limit. [R20] `wallMs` and `outputBytes` are exact. The
 *   limits of disk and memory may be passed for a moment before that is seen.
 * - [R21] `recover` is called once at start, before anything runs: it ends and removes whatever an earlier process of
 *   the same worker left, [R22] but for what belongs to the attempts that it is to keep.
 * - A runtime whose runs outlive the worker's process has `adopt` and `disown`. [R23] `adopt` is `run` for a run that an
 *   earlier process of the worker began with the same labels, arguments, variables, mounts and GPUs, and whose attempt
 *   was kept: it waits for its end, [R24] or takes up how it ended meanwhile. [R25] The limits count from when the run began.
 *   [R26] What it printed while nobody listened comes as far as it is known, after a line that says so. [R27] Where
 *   there is no such run, or it cannot be told how it ended, nothing is left of it and `adopt` resolves with undefined.
 *   [R28] `disown` ends and removes what is left of an attempt that was kept.
 * - [R29] A run sees exactly the GPUs that its spec names, and none where it names none, whatever its image asks for.
 *   [R30] That one of them cannot be handed over is the fault of the platform: `run` rejects, and nothing is left of the
 *   run.
 * - [R31] Disposing kills what still runs, and nothing runs any more; [R32] doing it twice is harmless.
 * - [R33] The environment of a run has `PYTHONUNBUFFERED`, unless its image sets that: what a program printed has come
 *   before it is killed.
 * - [R34] `machine` is what programs that it runs are made for, by the name that `uname -m` has for it there.
 * - [R35] A run has the variables of `environment`, whatever its image and the runtime have set by these names. [R36] A
 *   mount may be a file that is read only. [R37] A path of a mount stands for its place also in an argument and in a
 *   value of the environment: a runtime that cannot put it there hands on where it is. [R38] A name of the
 *   environment, or a path of a mount, that is not the caller's to choose rejects with `internal`, and nothing runs.
 * - [R39] `beside` is called when a run goes on, once, also where it is adopted, and may read what the run has written so
 *   far. [R40] It is told when nothing of the run is left, whatever ended it, and may still read then: `run` settles
 *   after it. [R41] Should it reject, the run is killed and `run` rejects with the same.
 * - [R42] What a run wrote to its mounts is there when `run` resolves, whatever ended it, but where it was too much.
 * - A runtime that runs images of registries has `load`. [R43] It makes one ready, once per digest: its bytes are fetched
 *   only where the runtime has it not. [R44] What is wrong with the image throws `OrderFailure`, and nothing of it stays.
 *   [R45] A run of it that says no arguments has those of the image (CMD). [R46] One that was removed since is not run:
 *   `run` rejects with `unavailable`.
 * - [R47] What a runtime keeps of a run that has ended by itself, or for a limit, it may remove after `run` has settled:
 *   nothing of it goes on, and disposing waits until it is gone.
 * - A runtime that can make ready for runs has `warmUp`. [R48] It is told of a run that is near, whose folders need not be
 *   there, and may begin with what takes time; it never throws, and the run may never come. [R49] What is ready runs nothing
 *   of the image and sees nothing of anybody, is for one run, and changes nothing of that: its limits, what it sees, how
 *   its time and output count. [R50] It is no run: a process that comes after removes it, and so does disposing.
 * - [R51] `prepare` and `load` tell as `runner` whether the labels of an image declare one, [R52] and throw `OrderFailure`
 *   for such labels of other values than are known.
 * - A runner is a run that stays and answers its caller's calls: see {@link RunnerSpec}. [R53] The folders of the caller that
 *   `writable` names stand where programs look for temporary files, for shared memory and for their home, and are told to
 *   it by `TMPDIR` and `HOME`: what it writes there is in these at once, counts against its limits of disk, and can be
 *   taken away from it. [R54] A runtime that isolates leaves it no other place to write to but its writable mounts, nor
 *   memory that outlives the process which filled it. [R55] It reaches a socket of the worker in a mount that is read only.
 *   [R56] It belongs to no attempt: nobody takes it up, and `recover` ends it. [R57] A runtime has runners where
 *   `hasRunners` says so; elsewhere `run` rejects with `internal`, and nothing runs. [R58] The words of `before` stand
 *   before those of its image: a program of the caller's, which becomes the image's.
 */
export interface ContainerRuntime {
  readonly name: 'process' | 'dummy' | 'docker';
  /** False: the code that runs could read and change what the worker can. */
  readonly isolates: boolean;
  prepare(context: BuildContext, options: PrepareOptions): Promise<PreparedImage>;
  load?(image: RegistryImage, options: PrepareOptions): Promise<PreparedImage>;
  run(spec: AnyRun, options: RunOptions): Promise<RunResult>;
  /** Whether runners can run here. Throws `unavailable` where that cannot be found out. Absent: they cannot. */
  hasRunners?(): Promise<boolean>;
  warmUp?(coming: ComingRun): void;
  recover(kept?: readonly AttemptName[]): Promise<void>;
  adopt?(spec: RunSpec, options: AdoptOptions): Promise<RunResult | undefined>;
  disown?(attempt: AttemptName): Promise<void>;
  /**
   * The GPUs that runs can be given; none where there are none. Throws `unavailable` where that cannot be found out.
   * Absent: never any.
   */
  gpus?(options: FindGpusOptions): Promise<readonly Gpu[]>;
  /** The name of the machine whose programs it runs, such as `x86_64`. Throws `unavailable`. Absent: nobody can tell. */
  machine?(signal: AbortSignal): Promise<string>;
  /**
   * Rejects with the reason in one line when nothing can run: `unavailable`, or `disk_full` while the runtime is known
   * to have no room for an image.
   */
  ping(signal?: AbortSignal): Promise<void>;
  /** Looks whether there is room for an image, making some where there is not; else `disk_full`. Absent: nobody can tell. */
  demandRoom?(signal: AbortSignal): Promise<void>;
  /** What whoever runs the worker had better change where `ping` finds all well, in one line. Absent: never anything. */
  warning?(signal: AbortSignal): Promise<string | undefined>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** How GPUs are looked for. */
export interface FindGpusOptions {
  readonly signal: AbortSignal;
  /** False: only where there are signs of any, so that machines without GPUs lose no time. */
  readonly insist: boolean;
}

/** A GPU that a run can be given. */
export interface Gpu {
  /** Its number on this machine, as `nvidia-smi` shows it: for people, and for settings. It may change. */
  readonly index: number;
  /** What {@link RunSpec.gpus} names it by: its UUID, where the runtime can hand it over by that. */
  readonly id: string;
  /** The model, such as `NVIDIA H200`. */
  readonly name: string;
  /** 0 where it is not known. */
  readonly memoryBytes: number;
}

/** A build context: its archive's SHA-256, and a folder that holds it unpacked (read it only, it is shared). */
export interface BuildContext {
  readonly digest: string;
  readonly folder: string;
}

/** An image of a registry, by the digest that its order names. */
export interface RegistryImage {
  /** SHA-256, as hexadecimal digits. */
  readonly digest: string;
  /** Brings all of it, and keeps it until that is disposed. */
  readonly fetch: (signal: AbortSignal) => Promise<FetchedImage & Disposable>;
}

/** What an image of a registry consists of, as far as a worker has checked that: digests, sizes, forms, architecture. */
export interface FetchedImage {
  /** Its configuration, JSON as the registry has it. */
  readonly config: Uint8Array;
  /** From the lowest on. */
  readonly layers: readonly FetchedLayer[];
}

/** A layer of an image: a tar archive, not compressed. */
export interface FetchedLayer {
  /** Its size, in bytes. */
  readonly bytes: number;
  open(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** What goes with a preparation. */
export interface PrepareOptions {
  readonly signal: AbortSignal;
  /** The build's log, line by line or in larger pieces. */
  readonly onOutput: (chunk: OutputChunk) => Promise<void>;
}

/** An image that is ready to run; `reference` means something to its runtime alone. */
export interface PreparedImage {
  readonly reference: string;
  readonly cached: boolean;
  /** What its labels declare of a runner; absent where they declare none. */
  readonly runner?: RunnerDeclaration | undefined;
  /** Tells the runtime that the image is not needed for this any more; until then it is not removed to make room. */
  readonly release?: () => void;
}

/** What an image says of the runner that it is. */
export interface RunnerDeclaration {
  /** How many calls it takes at a time: from 1 to 64. */
  readonly maxBatch: number;
}

/** A host folder, or a file that is read only, that stands at a path of the container. */
export interface Mount {
  readonly host: string;
  /**
   * Absolute path inside the container, as `isOwnPath` has it. A mount may lie below another's path if its host folder
   * lies there too.
   */
  readonly container: string;
  readonly readOnly: boolean;
}

/** The bounds of one run. */
export interface RunLimits {
  readonly wallMs: number;
  /** Of stdout and stderr together. What is within the limit still reaches `onOutput`. */
  readonly outputBytes: number;
  /**
   * Of what the run adds below the writable mounts and to its own file system, in bytes that the disk gave, checked
   * while it runs and at its end. What stood there when it began does not count.
   */
  readonly diskBytes: number;
  /** Files and folders that the run adds there. */
  readonly diskFiles: number;
  readonly memoryBytes: number;
  /** How many processors it may keep busy, such as 1.5; all of them where absent. Not every runtime bounds it. */
  readonly cpus?: number;
  /** What may lie in `/dev/shm`, which is part of the memory: all of that where absent. Not every runtime bounds it. */
  readonly sharedMemoryBytes?: number;
  /** Processes and threads at a time; a default of the runtime where absent. Not every runtime bounds it. */
  readonly processes?: number;
}

/** One run. */
export interface RunSpec {
  readonly image: PreparedImage;
  /** Absent: those that the image has. The image of a build context has none. */
  readonly args?: readonly string[] | undefined;
  /** Variables by their names, as `isOwnVariable` has them; none where absent. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly mounts: readonly Mount[];
  readonly limits: RunLimits;
  /** An empty folder of this run alone, which the runtime may fill and the caller removes. */
  readonly scratch: string;
  /** The ids of its GPUs (see {@link Gpu}); absent or empty: none. Runs do not share one unless the caller says so. */
  readonly gpus?: readonly string[];
  readonly labels: { readonly order: string; readonly attempt: number; readonly step: Step };
  /** Of runners alone. */
  readonly writable?: undefined;
  readonly before?: undefined;
}

/**
 * The run of a runner. Its caller makes the folders of `writable` and whatever is to be found in its mounts, also while it
 * runs; {@link RunLimits.wallMs} bounds its life.
 */
export interface RunnerSpec extends Omit<RunSpec, 'labels' | 'writable' | 'before'> {
  /** `runner` is like no other of the worker: letters, digits and `-`. */
  readonly labels: { readonly runner: string };
  readonly writable: WritablePlaces;
  /** The first is the path of a program in one of the mounts. */
  readonly before?: readonly string[] | undefined;
}

/** What `ContainerRuntime.run` runs. */
export type AnyRun = RunSpec | RunnerSpec;

/** Folders of the worker that are a runner's places to write to, beside its mounts. */
export interface WritablePlaces {
  /** Stands at `/tmp`. */
  readonly tmp: string;
  /** Stands at `/dev/shm`, where the runtime can put it there. */
  readonly sharedMemory: string;
  readonly home: string;
}

/** A run that is near. */
export type ComingRun = Pick<RunSpec, 'image' | 'args' | 'environment' | 'mounts' | 'limits' | 'gpus'>;

/** A piece of what a run prints. */
export interface OutputChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Uint8Array;
}

/** What goes with a run. */
export interface RunOptions {
  readonly signal: AbortSignal;
  readonly onOutput: (chunk: OutputChunk) => Promise<void>;
  /**
   * Called by a runtime that adopts with how the run ended, when its files are in their places and before anything
   * of it is removed: what the caller keeps then need not be run, nor adopted, again. Awaited.
   */
  readonly onEnd?: (result: RunResult) => Promise<void>;
  /** What is to be done while it runs. */
  readonly beside?: (run: LiveRun) => Promise<void>;
}

/** A run that goes on, as who works beside it sees it. */
export interface LiveRun {
  /**
   * What lies now at a path of a mount that the run may write to: the file, or all that is in the folder at any depth,
   * such that a folder comes before what is in it; nothing where nothing is there. A file is what it was when it was
   * opened; where it changes while it is read, this may throw, and reading anew helps.
   */
  read(path: string): AsyncIterable<LivingFile>;
  /** Aborts when nothing of the run is left. */
  readonly over: AbortSignal;
  /** How it ended, once it is over; undefined where its caller ended it. */
  readonly exitCode: number | undefined;
}

/** An attempt, as runs name theirs. */
export type AttemptName = Pick<RunSpec['labels'], 'order' | 'attempt'>;

/** What goes with taking up a run. */
export interface AdoptOptions extends RunOptions {
  /** What of its output was passed on before: how many bytes, and until when, in milliseconds since 1970. */
  readonly printed: { readonly bytes: number; readonly at: number };
}

/** How a run ended, and what it took. */
export interface RunResult {
  readonly ended: 'exited' | 'timed_out' | 'out_of_memory' | 'output_limit' | 'disk_full';
  /** 0 to 255; 128 + n where signal n ended it. */
  readonly exitCode: number;
  readonly seconds: number;
  /** Where its entry point is a file that cannot be run: why, in a sentence about the Dockerfile and the file. */
  readonly notStarted?: string;
  /** It was killed by somebody else, while its memory cannot have come near its limit: not for what it did. */
  readonly killedBelowLimits?: true;
  readonly peakMemoryBytes?: number;
  readonly cpuSeconds?: number;
}

# Two commands need to be known: `make demo` and `make test`. Both install what they need and may be run again.
CARGO := $(shell command -v cargo 2>/dev/null || echo $$HOME/.cargo/bin/cargo)
WORKER := target/release/transcription-worker
MODELS := models
SHELL_SCRIPTS := $(shell grep -lE -d skip '^\#!.*sh$$' scripts/* .ci/* packer/*.sh packaging/* systemd/*)

.PHONY: help demo test test-stack amazon-readers rendition-readers test-systemd test-container deb tarball rpm bad-inputs storm crash-matrix lost-network many-jobs fuzz interruption-cost bench-peers bench-before voice-sweep bench-gpu bench-gpu-carry cuda bench-memory bench-speakers bench-words bench-fairness bench-decode media-matrix no-speech build model wer lint check schemas clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make demo     install, build, fetch a model, transcribe a file through the whole worker
demo: model
	@scripts/demo

# nobody takes home what CI builds
QUICKER := $(if $(CI),--config profile.release.package.transcription-worker.opt-level=1)

## make test     install what the tests need (the models tiny.en and base too), then run all of them
test:
	@scripts/install-packages build
	@scripts/install-packages test
	@scripts/test-server
# not through `build`: the tests' dependencies have more features, and everything would be compiled twice
	$(CARGO) $(QUICKER) test --release --no-run
	@$(WORKER) model pull tiny.en --models-dir $(MODELS)
	@$(WORKER) model pull base --models-dir $(MODELS)
	@$(WORKER) model pull speakers --models-dir $(MODELS)
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} $(CARGO) $(QUICKER) test --release

## make test-stack  the hub in terraform/: its plan, checkov, and a transcript through it on a stand-in; needs terraform
# in CI `make test` has built the program, with more features: building it again here would compile everything twice
test-stack: $(if $(CI),,build)
	@scripts/install-packages test
	@$(WORKER) model pull tiny.en --models-dir $(MODELS)
	@scripts/test-stack $(STEPS)

## make amazon-readers  programs that read Amazon Transcribe's output read our rendition of it
amazon-readers: $(if $(CI),,model)
	@scripts/install-packages test
	@scripts/amazon-readers

## make rendition-readers  validators and a search index read our subtitles, podcast and ndjson renditions
rendition-readers: $(if $(CI),,model)
	@scripts/install-packages test
	@scripts/rendition-readers

## make deb      the Debian package, for any x86-64-v3 processor: FEATURES=cuda for a GPU; make tarball and make rpm likewise
PACKAGES := deb tarball rpm
$(PACKAGES):
	@scripts/install-packages build
	@CARGO=$(CARGO) scripts/package $@

## make test-systemd  the package installed on a booted Debian, and a worker's life there; minutes, as root
# PACKAGE=path takes one that is there
test-systemd: $(if $(PACKAGE),,deb)
	@scripts/install-packages test
	@scripts/install-packages boot
	@scripts/test-server
	@[ -e $(MODELS)/ggml-tiny.en.bin ] || target/portable/release/transcription-worker model pull tiny.en --models-dir $(MODELS)
	@PACKAGE=$(PACKAGE) scripts/test-systemd

## make test-container  the image of Containerfile, built with buildah on a Debian made here, and a job in it; as root
test-container: $(if $(PACKAGE),,deb)
	@scripts/install-packages test
	@scripts/install-packages boot
	@[ -e $(MODELS)/ggml-tiny.en.bin ] || target/portable/release/transcription-worker model pull tiny.en --models-dir $(MODELS)
	@PACKAGE=$(PACKAGE) scripts/test-container

## make simulate  thousands of worlds that a seed decides, each twice: SEEDS=10000; SEED=… shows one, step by step
SEEDS ?= 1000
simulate:
	@scripts/install-packages build
	$(CARGO) test --release --test sim --no-run
	@SEEDS=$(SEEDS) $(if $(filter command line environment,$(origin SEED)),SEED=$(SEED)) $(CARGO) test --release --test sim simulate -- --ignored --nocapture

## make simulate-planted  whether the simulation finds the bugs of tests/sim/planted: PLANTED=NAME tries one
simulate-planted:
	@scripts/install-packages build
	@CARGO=$(CARGO) scripts/simulate-planted $(PLANTED)

## make cuda     the worker for NVIDIA GPUs, on a machine that needs none: ARCH="86-real 89" for some; into target/cuda
cuda:
	@scripts/install-packages build
	@CARGO=$(CARGO) scripts/cuda build --release

## make bench-gpu  what a GPU does with the worker, in nine minutes: speed by windows at a time and shape, texts like the CPU's
bench-gpu: bench-gpu-carry
	@python3 target/bench-gpu/bench.py --out target/bench-gpu-results

## make bench-gpu-carry  what that needs, packed for a GPU without a network, at most 60 MiB: ARCH=90-real; there: python3 bench.py
bench-gpu-carry: model
	@scripts/install-packages test
	@CARGO=$(CARGO) scripts/bench-gpu-carry

## make build    the release binary
build:
	@scripts/install-packages build
	$(CARGO) build --release

## make model    fetch tiny.en into models/
model: build
	@$(WORKER) model pull tiny.en --models-dir $(MODELS)

## make wer      word error rate of a model over a manifest: make wer MANIFEST=…/manifest.json MODEL=tiny.en
MODEL ?= tiny.en
wer: model
	@test -n "$(MANIFEST)" || { echo "usage: make wer MANIFEST=path/to/manifest.json"; exit 64; }
	@$(WORKER) bench --manifest "$(MANIFEST)" --model $(MODEL) --models-dir $(MODELS)

## make bad-inputs  every damaged file and message there is, through the whole worker
bad-inputs: model
	$(CARGO) test --release --no-run
	$(CARGO) test --release --test it bad_inputs -- --ignored --nocapture

## make fuzz     any bytes as message, checkpoint and audio, for a minute each: SECS=60
SECS ?= 60
fuzz:
	@scripts/install-packages build
	@command -v cargo-fuzz >/dev/null || [ -x $$HOME/.cargo/bin/cargo-fuzz ] || $(CARGO) install --locked cargo-fuzz
	@CARGO=$(CARGO) scripts/fuzz $(SECS)

## make storm    200 jobs, then 20 of real speech, while workers are killed and AWS fails: SEED=… repeats a storm
SEED ?= $(shell date +%s)
storm: model
	@scripts/install-packages test
	@scripts/test-server
	$(CARGO) test --release --no-run
	SEED=$(SEED) $(CARGO) test --release --test it storm:: -- --ignored --nocapture --test-threads 1

## make interruption-cost  what five interruptions of half an hour of speech cost in repeated windows
interruption-cost: model
	@scripts/install-packages test
	@scripts/test-server
	$(CARGO) test --release --no-run
	$(CARGO) test --release --test it interruption_cost -- --ignored --nocapture

## make crash-matrix  kill a worker at every step of a job; what the next one finds, repeats and makes of it
crash-matrix: model
	@scripts/install-packages test
	@scripts/test-server
	$(CARGO) test --release --no-run
	$(CARGO) test --release --test it crash_matrix::crash_matrix -- --ignored --nocapture

## make lost-network  cut a worker off for a minute in mid-job, with a lease that lasts and one that does not
lost-network: model
	@scripts/install-packages test
	@scripts/test-server
	$(CARGO) test --release --no-run
	$(CARGO) test --release --test it network::lost_network -- --ignored --nocapture

## make many-jobs  2,000 small jobs through one worker: open descriptors and memory after each hundred
many-jobs: model
	@scripts/install-packages test
	@scripts/test-server
	$(CARGO) test --release --no-run
	$(CARGO) test --release --test it many_jobs -- --ignored --nocapture

## make bench-peers  us, faster-whisper and whisper.cpp side by side: make bench-peers MANIFEST=…/manifest.json KINDS=long
ROUNDS ?= 5
bench-peers: model
	@test -n "$(MANIFEST)" || { echo "usage: make bench-peers MANIFEST=path/to/manifest.json [KINDS=…] [MODEL=tiny.en] [ROUNDS=5] [ONLY=names,…]"; exit 64; }
	@scripts/install-packages test
	@$(WORKER) model pull $(MODEL) --models-dir $(MODELS)
	@[ -x benches/peers/.venv/bin/python ] || { python3 -m venv benches/peers/.venv && benches/peers/.venv/bin/pip install -q -r benches/peers/requirements.txt; }
	@benches/peers/.venv/bin/python benches/peers/peers.py --manifest "$(MANIFEST)" --kinds "$(KINDS)" --model $(MODEL) --models-dir $(MODELS) --rounds $(ROUNDS) --only "$(ONLY)"

## make bench-before  this build and that of an older commit in turn: make bench-before REV=… MANIFEST=…/manifest.json KINDS=long
bench-before: model
	@test -n "$(MANIFEST)" -a -n "$(REV)" || { echo "usage: make bench-before REV=commit MANIFEST=path/to/manifest.json [KINDS=…] [MODEL=tiny.en] [ROUNDS=5]"; exit 64; }
	@scripts/install-packages test
	@$(WORKER) model pull $(MODEL) --models-dir $(MODELS)
	@[ -x benches/peers/.venv/bin/python ] || { python3 -m venv benches/peers/.venv && benches/peers/.venv/bin/pip install -q -r benches/peers/requirements.txt; }
	@CARGO=$(CARGO) scripts/bench-before $(REV) --manifest "$(MANIFEST)" --kinds "$(KINDS)" --model $(MODEL) --models-dir $(MODELS) --rounds $(ROUNDS)

## make voice-sweep  what is lost under hum, rumble, music, reverb …, beside whisper.cpp without a voice detector: MANIFEST=…/manifest.json
DRAWS ?= 3
voice-sweep: model
	@test -n "$(MANIFEST)" || { echo "usage: make voice-sweep MANIFEST=path/to/manifest.json [MODEL=tiny.en] [ONLY='hum, as loud;clean'] [DRAWS=3]"; exit 64; }
	@scripts/install-packages test
	@[ -x benches/voice/.venv/bin/python ] || { python3 -m venv benches/voice/.venv && benches/voice/.venv/bin/pip install -q -r benches/voice/requirements.txt; }
	@benches/voice/.venv/bin/python benches/voice/sweep.py --manifest "$(MANIFEST)" --model $(MODEL) --models-dir $(MODELS) --only "$(ONLY)" --draws $(DRAWS)

## make bench-memory  peak memory for ten minutes and for ten hours of speech: make bench-memory [ENGINE=real]
ENGINE ?= scripted
bench-memory: model
	@scripts/install-packages test
	$(CARGO) build --release --example scripted_engine
	@benches/memory.py --engine $(ENGINE) --model $(MODEL)

## make bench-speakers  who speaks when in conversations made of a manifest's clips: MANIFEST=…/manifest.json
bench-speakers: model
	@test -n "$(MANIFEST)" || { echo "usage: make bench-speakers MANIFEST=path/to/manifest.json [SEED=1]"; exit 64; }
	@scripts/install-packages test
	@$(WORKER) model pull speakers --models-dir $(MODELS)
	$(CARGO) build --release --example turns
	@[ -x benches/speakers/.venv/bin/python ] || { python3 -m venv benches/speakers/.venv && benches/speakers/.venv/bin/pip install -q -r benches/speakers/requirements.txt; }
	@benches/speakers/.venv/bin/python benches/speakers/bench.py --manifest "$(MANIFEST)" --models-dir $(MODELS) $(if $(filter command line,$(origin SEED)),--seed $(SEED))

## make bench-words  what a vocabulary does to names and to everything else, and what redaction leaves: MANIFEST=…/manifest.json
bench-words: model
	@scripts/install-packages voices
	@$(WORKER) model pull $(MODEL) --models-dir $(MODELS)
	@benches/words/bench.py $(if $(MANIFEST),--manifest "$(MANIFEST)") --model $(MODEL) --models-dir $(MODELS)

## make bench-fairness  what a 10 s job waits for while a file of two hours is at work; what tenants and weights get
bench-fairness: model
	@$(WORKER) bench --fairness tests/audio/jfk.flac --model $(MODEL) --models-dir $(MODELS)

## make media-matrix  files of all containers, codecs and ailments, read by us and by ffmpeg: CELL=mkv-opus tries some
media-matrix:
	@scripts/install-packages build
	@scripts/install-packages test
	$(CARGO) test --release --test it --no-run
	CELL=$(CELL) $(CARGO) test --release --test it media_matrix -- --ignored --nocapture

## make no-speech   forty sounds without speech at twelve pitches and levels: nothing may be written
no-speech: model
	$(CARGO) test --release --test it --no-run
	$(CARGO) test --release --test it no_speech -- --ignored --nocapture

## make bench-decode  seconds of audio decoded per second of one core, per format
bench-decode:
	@scripts/install-packages build
	@scripts/install-packages test
	$(CARGO) bench --bench decode

## make lint     formatting, clippy, docs, scripts, licences, invariants, documents
lint: check
	$(CARGO) fmt --check
	$(CARGO) clippy --release --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --no-deps

## make check    the part of lint that compiles nothing: a few seconds
check:
	@scripts/install-packages lint
	shellcheck $(SHELL_SCRIPTS)
	@CARGO=$(CARGO) scripts/check-licences
	@scripts/check-invariants
	@scripts/registry-schemas --check
	@scripts/check-docs

## make schemas  write schemas/ and the list of metrics anew from the types, and terraform/schemas from them
schemas: build
	$(WORKER) schema --write schemas
	$(WORKER) schema --metrics > terraform/metrics.json
	@scripts/registry-schemas

clean:
	rm -rf target .venv demo tests/stack/.venv tests/readers/.venv tests/readers/node_modules

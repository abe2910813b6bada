# The way in for developers. Needs only python3 (3.11 or newer) and make; everything else is installed into .venv
# from the lock files, and as root on Debian the missing Debian packages too.

PYTHON ?= python3
VENV   ?= .venv
CONFIG ?= appliance.yaml
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.complete
PEERS  := orthanc orthanc-dicomweb dcmtk dicom3tools nginx age fonts-dejavu-core fonts-liberation prometheus prometheus-alertmanager
PEERS  += rsyslog rsyslog-openssl
# To boot a host to install on (tests/install).
PEERS  += chromium chromium-driver mmdebstrap systemd-container iproute2 openssh-client
# More letters to find text in.
FONTS  := fonts-b612 fonts-ocr-a fonts-inconsolata fonts-terminus

.PHONY: setup demo run test check bench bundle lock

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; '$(PYTHON)' is older. Nothing was installed. Run: make setup PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tests/peers/install python3-venv
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@# setuptools 84 warns at each editable installation of folders that are named like the package; ours are it.
	PYTHONWARNINGS='ignore:Editable installation' \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@sh tests/peers/install --optional orthanc orthanc-dicomweb
	$(BIN)/appliance demo $(if $(ONCE),--once)

run: setup
	@test -e $(CONFIG) || { $(BIN)/appliance config example > $(CONFIG) && echo "$(CONFIG) was made; change it as you like."; }
	$(BIN)/appliance run -c $(CONFIG)

# Real peers are started by the tests themselves, on loopback. What a machine lacks is skipped and listed at the end.
test: setup
	@sh tests/peers/install --optional $(PEERS)
	@$(FUZZER) 2>/dev/null || echo "atheris has no wheel for this machine, or no index answers: the fuzzed tests are skipped."
	$(BIN)/python -m pytest --ignore=tests/bench $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd ansible && PATH="$(CURDIR)/$(BIN):$$PATH" ansible-lint -q

bench: setup
	@sh tests/peers/install --optional $(PEERS) $(FONTS)
	$(BIN)/python -m pytest -o python_files='bench_*.py test_*.py' -s tests/bench $(ARGS)

# One file to install from without a network: make bundle PYTHONS='3.11 3.13' brings libraries for these only.
bundle: setup
	$(BIN)/python -m tools.bundle $(foreach python,$(PYTHONS),--python $(python))

# The reader and the engine under a coverage-guided fuzzer. What is found is a file found-… in FUZZ, and ends it.
FUZZ    ?= .fuzz
FUZZ_S  ?= 600

# Not among the development packages: a machine without a wheel of it must still be able to set up.
FUZZER  := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements-fuzz.lock

fuzz: setup
	$(FUZZER)
	$(BIN)/python -m tests.property.fuzz read --seconds $(FUZZ_S) --corpus $(FUZZ)/read/corpus
	$(BIN)/python -m tests.property.fuzz deidentify --seconds $(FUZZ_S) --corpus $(FUZZ)/deidentify/corpus

# New versions on purpose: make lock UPGRADE=1, then the whole test suite.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url \
	--no-emit-trusted-host --no-emit-find-links --allow-unsafe $(if $(UPGRADE),--upgrade)

lock: setup
	$(COMPILE) --strip-extras -o requirements.lock pyproject.toml
	@# With its extras: a bare 'coverage==7' pins no 'coverage[toml]', and pip then refuses the day a newer one is out.
	$(COMPILE) --no-strip-extras --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	echo atheris | $(COMPILE) --strip-extras -o requirements-fuzz.lock -

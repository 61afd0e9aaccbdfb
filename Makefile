# SPDX-License-Identifier: Apache-2.0
# One line each; what is called stands in tests/ and debian/.

demo:
	@tests/demo/run
test:
	@tests/run
test-faults:
	@tests/faults/run
lint:
	@tests/lint
deb:
	@dpkg-buildpackage --no-sign --build=binary
bench:
	@tests/bench/run

.PHONY: demo test test-faults lint deb bench

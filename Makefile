# SPDX-License-Identifier: Apache-2.0
# One line each; what is called stands in tests/ and debian/. The rest is for systems other than Debian:
# docs/other-systems.md.

PREFIX ?= /usr/local
TREE = $(DESTDIR)$(PREFIX)
PRIVATE = $(TREE)/lib/tedge-cert-renewer
UNITS = $(TREE)/lib/systemd/system

demo:
	@tests/demo/run
test:
	@tests/run
test-dist-upgrade:
	@tests/dist-upgrade
lint:
	@tests/lint
deb:
	@dpkg-buildpackage --no-sign --build=binary
bench:
	@tests/bench/run

install:
	install -d $(PRIVATE) $(TREE)/bin $(UNITS) $(TREE)/lib/sysusers.d $(TREE)/lib/tmpfiles.d $(TREE)/share/man/man7
	install -m 755 bin/* $(PRIVATE)
	cd lib && find tedge_cert -name '*.py' -exec install -D -m 644 {} $(abspath $(PRIVATE))/{} \;
	for each in bin/*; do ln -sf ../lib/tedge-cert-renewer/$${each#bin/} $(TREE)/bin; done
	for each in units/*.service units/*.timer units/*.target; do \
	    sed 's,/usr/bin/,$(PREFIX)/bin/,' $$each > $(UNITS)/$${each#units/}; done
	install -m 644 units/tedge-cert-renewer.sysusers $(TREE)/lib/sysusers.d/tedge-cert-renewer.conf
	install -m 644 units/tedge-cert-renewer.tmpfiles $(TREE)/lib/tmpfiles.d/tedge-cert-renewer.conf
	install -D -m 644 -t $(TREE)/lib/systemd/catalog units/tedge-cert-renewer.catalog
	install -m 644 debian/man/*.7 $(TREE)/share/man/man7

uninstall:
	rm -rf $(PRIVATE)
	rm -f $(addprefix $(TREE)/,$(wildcard bin/*)) $(addprefix $(UNITS)/,$(notdir $(wildcard units/*@.* units/*.target)))
	rm -f $(TREE)/lib/sysusers.d/tedge-cert-renewer.conf $(TREE)/lib/tmpfiles.d/tedge-cert-renewer.conf
	rm -f $(TREE)/share/man/man7/tedge-cert-renewer.7 $(TREE)/lib/systemd/catalog/tedge-cert-renewer.catalog

.PHONY: demo test test-dist-upgrade lint deb bench install uninstall

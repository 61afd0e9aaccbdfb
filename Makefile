# SPDX-License-Identifier: Apache-2.0
# One line each; what is called stands in tests/ and debian/. The rest is for systems other than Debian:
# docs/other-systems.md.

PREFIX ?= /usr/local
TREE = $(DESTDIR)$(PREFIX)
PRIVATE = $(TREE)/lib/tedge-cert-renewer
UNITS = $(TREE)/lib/systemd/system
SHARE = $(TREE)/share
COMPLETIONS = bash-completion/completions/tedge zsh/site-functions/_tedge fish/vendor_completions.d/tedge.fish
PYTHON ?= /usr/bin/python3
MADE ?= debian/made
# The other page is of a package that only Debian has: it changes thin-edge's packages.
MANUAL = debian/man/tedge-cert-renewer.7 debian/man/tedge-first-boot.7
MADE_WITH = PYTHONPATH=lib PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 $(PYTHON)

demo:
	@tests/demo/run
test:
	@tests/run
test-faults:
	@tests/faults/run
test-next:
	@tests/next
test-dist-upgrade:
	@tests/dist-upgrade
lint:
	@tests/lint
deb:
	@dpkg-buildpackage --no-sign --build=binary
bench:
	@tests/bench/run
screens:
	@tests/demo/run --screens README.md
picture:
	@$(PYTHON) docs/rooms.py

# Manual pages and completions, from the parsers of the executables, and drop-ins, from the units, so that each text
# exists once.
made:
	mkdir -p $(MADE)/bash $(MADE)/zsh $(MADE)/fish
	$(MADE_WITH) debian/manual.py $(MADE)
	$(MADE_WITH) debian/dropin.py $(MADE)/systemd
	$(MADE_WITH) bin/tedge-completions bash > $(MADE)/bash/tedge
	$(MADE_WITH) bin/tedge-completions zsh > $(MADE)/zsh/_tedge
	$(MADE_WITH) bin/tedge-completions fish > $(MADE)/fish/tedge.fish

install: made
	install -d $(PRIVATE) $(TREE)/bin $(UNITS) $(TREE)/lib/sysusers.d $(TREE)/lib/tmpfiles.d
	install -d $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/man/man7
	install -d $(UNITS)/multi-user.target.wants $(SHARE)/tedge-cert-renewer
	install -d $(DESTDIR)/etc/tedge-cert-renewer/hooks.d/renewed $(DESTDIR)/etc/tedge-cert-renewer/hooks.d/failed
	install -m 755 bin/* $(PRIVATE)
	cd lib && find tedge_cert -name '*.py' -exec install -D -m 644 {} $(abspath $(PRIVATE))/{} \;
	for each in bin/*; do ln -sf ../lib/tedge-cert-renewer/$${each#bin/} $(TREE)/bin; done
	for each in units/*.service units/*.timer units/*.target; do \
	    sed 's,/usr/bin/,$(PREFIX)/bin/,' $$each > $(UNITS)/$${each#units/}; done
	install -m 644 units/tedge-cert-renewer-common.sysusers $(TREE)/lib/sysusers.d/tedge-cert-renewer-common.conf
	for each in tedge-cert-renewer tedge-cert-renewer-common; do \
	    install -m 644 units/$$each.tmpfiles $(TREE)/lib/tmpfiles.d/$$each.conf; done
	install -D -m 644 -t $(TREE)/lib/systemd/catalog units/tedge-cert-renewer.catalog
	ln -sf ../tedge-cert-download@.service $(UNITS)/multi-user.target.wants/tedge-cert-download@c8y.service
	install -m 644 share/* $(SHARE)/tedge-cert-renewer
	for each in $(MANUAL) $(MADE)/*.?; do install -m 644 $$each $(SHARE)/man/man$${each##*.}; done
	install -D -m 644 $(MADE)/bash/tedge $(SHARE)/bash-completion/completions/tedge
	install -D -m 644 $(MADE)/zsh/_tedge $(SHARE)/zsh/site-functions/_tedge
	install -D -m 644 $(MADE)/fish/tedge.fish $(SHARE)/fish/vendor_completions.d/tedge.fish

uninstall:
	rm -rf $(PRIVATE) $(SHARE)/tedge-cert-renewer
	rm -f $(UNITS)/multi-user.target.wants/tedge-cert-download@c8y.service
	rm -f $(addprefix $(TREE)/,$(wildcard bin/*)) $(addprefix $(UNITS)/,$(notdir $(wildcard units/*@.* units/*.target)))
	rm -f $(TREE)/lib/sysusers.d/tedge-cert-renewer-common.conf
	rm -f $(TREE)/lib/tmpfiles.d/tedge-cert-renewer.conf $(TREE)/lib/tmpfiles.d/tedge-cert-renewer-common.conf
	rm -f $(TREE)/lib/systemd/catalog/tedge-cert-renewer.catalog
	rm -f $(addprefix $(SHARE)/man/man1/,$(addsuffix .1,$(notdir $(wildcard bin/*)))) $(SHARE)/man/man5/tedge.toml.5
	rm -f $(addprefix $(SHARE)/man/man7/,$(notdir $(MANUAL))) $(addprefix $(SHARE)/,$(COMPLETIONS))

.PHONY: demo test test-faults test-next test-dist-upgrade lint deb bench screens picture made install uninstall

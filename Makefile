# make env: environment in .venv; make demo: the main job on an embedded default;
# make demo-shape: shape and pose of drawn meshes; make test: all tests;
# make try CFG=cfg/x.toml: a config from the first look to the table on small drawn stand-ins of its datasets.

PYTHON ?= python3
BIN := .venv/bin
DEMO := results/demo
SHAPES := results/demo_shape
RUN := $(BIN)/python

.PHONY: env demo demo-shape try test clean

env: .venv/installed

.venv/installed: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; found $$($(PYTHON) --version) (set PYTHON=python3.12, say)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

demo: env
	rm -rf $(DEMO)
	$(RUN) train_classifier.py cfg/demo_letters.toml --out $(DEMO)/letters
	$(RUN) repeat_train_ae.py cfg/demo_ae.toml --seeds 1-2 --jobs 2 --out $(DEMO)/ae
	$(RUN) repeat_train_ae.py cfg/demo_e_tae.toml --seeds 1-2 --jobs 2 --out $(DEMO)/e_tae
	$(RUN) eval_ae.py $(DEMO)/ae $(DEMO)/e_tae
	$(RUN) calculate_mean_and_var_accuracy.py $(DEMO)/ae $(DEMO)/e_tae --format markdown --out $(DEMO)/table.md
	$(RUN) calculate_mean_and_var_accuracy.py $(DEMO)/ae $(DEMO)/e_tae
	@echo "table: $(DEMO)/table.md"
	@find $(DEMO) -path '*/images/*.png' | sort | sed 's/^/picture: /'

demo-shape: env
	rm -rf $(SHAPES)
	$(RUN) -m standin --dataset meshes --out $(SHAPES)
	$(RUN) render_views.py $(SHAPES)/meshes --out $(SHAPES)/views --size 64 --views 12
	$(RUN) train_shape_pose.py cfg/demo_shape.toml --out $(SHAPES)/run
	$(RUN) eval_shape_pose.py $(SHAPES)/run --checkpoint last --floors
	$(RUN) calculate_mean_and_var_accuracy.py $(SHAPES)/run --metric chamfer pose_accuracy pose_median pose_accuracy_half_turn
	@find $(SHAPES) -name '*.png' -path '*images*' | sort | sed 's/^/picture: /'

try: env
	@test -n "$(CFG)" || { echo "error: say which config to try, for example make try CFG=cfg/sviro_unseen_car.toml"; exit 2; }
	$(RUN) try_config.py $(CFG)

test: env
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist worksteal

clean:
	rm -rf .venv cache results

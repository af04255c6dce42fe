# make env: environment in .venv; make demo: the main job on an embedded default; make test: all tests;
# make demo-translation: rendered digits in the look of handwritten ones, and whether that helps a classifier;
# make demo-shape: shape and pose of drawn meshes;
# make try CFG=cfg/x.toml: a config from the first look to the table on small drawn stand-ins of its datasets.

PYTHON ?= python3
BIN := .venv/bin
DEMO := results/demo
DIGITS := results/demo_translation
SHAPES := results/demo_shape
RUN := $(BIN)/python

.PHONY: env demo demo-translation demo-shape try test clean

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

# A classifier trained on rendered digits, on handwritten ones, and on both kinds of translated ones, two seeds each: two
# trainings at a time, each with a thread. What they say is shown when they have ended, so that it stays apart.
TRANSLATIONS := demo_translation demo_translation_free
TWO := OMP_NUM_THREADS=1 $(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync)

demo-translation: env
	rm -rf $(DIGITS)
	+$(TWO) digits/untranslated/1 digits/untranslated/2
	$(RUN) repeat_train.py $(TRANSLATIONS:%=cfg/%.toml) --seeds 1-2 --jobs 2 --out $(DIGITS)
	+$(TWO) $(foreach name,$(TRANSLATIONS),digits/$(name)/1 digits/$(name)/2)
	$(RUN) calculate_mean_and_var_accuracy.py $(TRANSLATIONS:%=$(DIGITS)/%)
	$(RUN) calculate_mean_and_var_accuracy.py $(DIGITS)/rendered $(DIGITS)/on_* $(DIGITS)/real --format markdown \
		--out $(DIGITS)/table.md
	$(RUN) calculate_mean_and_var_accuracy.py $(DIGITS)/rendered $(DIGITS)/on_* $(DIGITS)/real
	@echo "table: $(DIGITS)/table.md"
	@find $(DIGITS)/demo_* -path '*/images/*.png' | sort | sed 's/^/picture: /'

digits/untranslated/%:
	$(RUN) train_classifier.py cfg/demo_digits.toml --seed $* --name rendered --out $(DIGITS)/rendered/$*
	$(RUN) train_classifier.py cfg/demo_digits.toml --seed $* --name real --out $(DIGITS)/real/$* \
		--set dataset.name=handwritten 'dataset.factor=""'

# A translation and its seed, as demo_translation/1.
digits/%:
	$(RUN) translate_dataset.py $(DIGITS)/$*-* --out $(DIGITS)/datasets/$(subst /,_,$*)
	$(RUN) train_classifier.py cfg/demo_digits.toml --seed $(notdir $*) --name on_$(patsubst %/,%,$(dir $*)) \
		--out $(DIGITS)/on_$* --set dataset.root=$(DIGITS)/datasets/$(subst /,_,$*)

demo-shape: env
	rm -rf $(SHAPES)
	$(RUN) -m standin --dataset meshes --factor animal --sceneries 20 --out $(SHAPES)
	$(RUN) render_views.py $(SHAPES)/meshes --out $(SHAPES)/views --size 64 --views 12
	$(RUN) repeat_train.py cfg/demo_shape.toml --seeds 1-2 --jobs 2 --out $(SHAPES)/runs
	$(RUN) eval_shape_pose.py $(SHAPES)/runs --checkpoint last --floors
	$(RUN) calculate_mean_and_var_accuracy.py $(SHAPES)/runs --metric chamfer pose_accuracy pose_median pose_accuracy_half_turn
	@find $(SHAPES) -name '*.png' -path '*images*' | sort | sed 's/^/picture: /'

try: env
	@test -n "$(CFG)" || { echo "error: say which config to try, for example make try CFG=cfg/sviro_unseen_car.toml"; exit 2; }
	$(RUN) try_config.py $(CFG)

test: env
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist worksteal

clean:
	rm -rf .venv cache results

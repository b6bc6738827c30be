#pragma once

#include "cli/options.hpp"
#include "cli/output.hpp"

/// The commands that need no network. Each returns an exit code (output.hpp) and has said on `output` why it is not 0.
namespace nmp::cli {

/// {"peer_id":..,"did":..}
int run_key(const KeyOptions& options, Output& output);
/// {"event":"check","name":..,"outcome":"passed"|"failed"|"not_checked","words":..} each, then
/// {"event":"verified","ok":..}.
int run_verify(const VerifyOptions& options, Output& output);
/// {"event":"config","config":{..}} or {"event":"problem","line":..,"column":..,"key":..,"words":..} each.
int run_config_check(const ConfigCheckOptions& options, Output& output);
/// {"event":"created","folder":..}
int run_filter_new(const FilterNewOptions& options, Output& output);
/// {"event":"built","file":..,"bytes":..,"sha256":..}
int run_filter_build(const FilterBuildOptions& options, Output& output);
/// {"event":"checked","ok":true,..} or {"event":"error","reason":..,"message":..}
int run_filter_check(const FilterCheckOptions& options, Output& output);
/// {"event":"push","data":..} each, then {"event":"result","evidence":..,"used":{..},"limits":{..}} as `nmp run` prints
/// it.
int run_filter_run(const FilterRunOptions& options, Output& output);

}  // namespace nmp::cli

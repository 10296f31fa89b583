package activities

import (
	"perdure/internal/model"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

// FirstTurn returns what a run with the settings would first ask the model, a "provider/model", to go on with the items. Of MCP tools
// it offers those that the items list, of the servers with the given labels: no server is asked. Compactions are opened with the
// sealer; the error is that of one which cannot be.
func FirstTurn(
	sealer *secret.Sealer, maxToolOutput int, settings Settings, modelName string, items []responses.Item, labels []string,
) (model.Turn, error) {
	a := &Activities{Options: Options{Sealer: sealer, MaxToolOutput: maxToolOutput}}
	items, err := a.openCompactions(items, settings.Organization)
	if err != nil {
		return model.Turn{}, err
	}
	in := ModelTurnInput{Turn: 1, Model: modelName, OutputFrom: len(items), Listed: labels}
	return a.turn(in, settings, items, newToolset(settings, items, in)), nil
}

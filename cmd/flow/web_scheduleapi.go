package main

import (
	"context"
	"net/http"

	"flow/cmd/flow/internal/web"
	"flow/state"
)

// scheduleAPI is the part of the table of routes that answers about schedules in JSON.
func (s *site) scheduleAPI() map[string]web.File {
	return map[string]web.File{
		apiBase + schedulesPath:               s.apiSchedules,
		apiBase + schedulePath:                s.ofSchedule(s.apiSchedule),
		apiBase + schedulePath + "/slots":     s.ofSchedule(s.apiSlots),
		apiBase + schedulePath + "/backfills": s.ofSchedule(s.apiBackfills),
	}
}

// ofSchedule answers with what data says of the schedule in the URL.
func (s *site) ofSchedule(data func(ctx context.Context, sch *state.Schedule, r web.Request) (any, error)) web.File {
	return func(w http.ResponseWriter, req *http.Request, r web.Request) error {
		sch, err := s.findSchedule(req.Context(), r)
		if err != nil {
			return err
		}
		v, err := data(req.Context(), &sch, r)
		if err != nil {
			return err
		}
		return answerJSON(w, v)
	}
}

func (s *site) apiSchedules(w http.ResponseWriter, req *http.Request, r web.Request) error {
	all, err := s.src.db().Schedules(req.Context())
	if err != nil {
		return err
	}
	list := []any{}
	for i := range all {
		if name := r.Query.Get("workflow"); name != "" && all[i].Workflow != name {
			continue
		}
		v, err := s.apiSchedule(req.Context(), &all[i], r)
		if err != nil {
			return err
		}
		list = append(list, v)
	}
	return answerJSON(w, list)
}

func (s *site) apiSchedule(ctx context.Context, sch *state.Schedule, _ web.Request) (any, error) {
	waiting, active, err := s.src.db().Record(ctx, sch.ID)
	if err != nil {
		return nil, err
	}
	return scheduleData(sch, waiting, active, s.now()), nil
}

func (s *site) apiSlots(ctx context.Context, sch *state.Schedule, r web.Request) (any, error) {
	limit, err := numberOf(r, "limit", apiDefault, apiMost)
	if err != nil {
		return nil, err
	}
	list := []slotJSON{}
	if limit == 0 {
		return list, nil
	}
	f, err := slotsWanted(r, sch.ID, limit)
	if err != nil {
		return nil, err
	}
	found, err := s.src.db().Slots(ctx, f)
	if err != nil {
		return nil, err
	}
	zone := zoneOf(&sch.Spec)
	for i := range found {
		list = append(list, slotData(sch.Full(), &found[i], zone))
	}
	return list, nil
}

func (s *site) apiBackfills(ctx context.Context, sch *state.Schedule, _ web.Request) (any, error) {
	all, err := s.src.db().Backfills(ctx, false)
	if err != nil {
		return nil, err
	}
	list, zone := []backfillJSON{}, zoneOf(&sch.Spec)
	for i := range all {
		if b := &all[i]; b.Schedule == sch.ID {
			list = append(list, backfillData(sch.Full(), b, zone))
		}
	}
	return list, nil
}
